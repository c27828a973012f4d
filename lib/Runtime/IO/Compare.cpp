//===- Compare.cpp - Do two tensors agree within a tolerance? -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Compare.h"
#include "../DataType.h"
#include <cmath>
#include <sstream>

using namespace attn::rt;

/// The shortest text that tells `value` from its neighbours of the type.
static std::string valueText(const Tensor &tensor, int64_t index) {
  std::ostringstream text;
  if (tensor.isFloat()) {
    text.precision(tensor.dtype() == ATTN_RT_FLOAT64 ? 17 : 9);
    text << tensor.at(index);
  } else if (tensor.dtype() == ATTN_RT_UINT64) {
    text << static_cast<uint64_t>(tensor.intAt(index));
  } else {
    text << tensor.intAt(index);
  }
  return text.str();
}

Comparison attn::rt::compare(const std::string &name, const Tensor &actual,
                             const Tensor &expected, Tolerance tolerance) {
  Comparison result;
  std::string subject = "output '" + name + "'";
  if (actual.dtype() != expected.dtype() ||
      actual.shape() != expected.shape()) {
    result.mismatch = subject + " is " + actual.text() + " but expected is " +
                      expected.text();
    return result;
  }
  int64_t numWrong = 0, firstWrong = -1;
  for (int64_t i = 0; i < actual.size(); ++i) {
    // Integers beyond 2^53 are not exact as doubles.
    if (!actual.isFloat() && actual.intAt(i) == expected.intAt(i))
      continue;
    double a = actual.at(i), e = expected.at(i);
    bool agrees;
    if (std::isfinite(a) && std::isfinite(e)) {
      double difference = std::fabs(a - e);
      result.largestDifference = std::max(result.largestDifference, difference);
      agrees = difference <= tolerance.atol + tolerance.rtol * std::fabs(e);
    } else {
      agrees = (std::isnan(a) && std::isnan(e)) || a == e;
    }
    if (agrees)
      continue;
    ++numWrong;
    if (firstWrong < 0)
      firstWrong = i;
  }
  if (numWrong == 0)
    return result;
  std::ostringstream text;
  text << subject << " differs at " << positionText(firstWrong, actual.shape())
       << ": got " << valueText(actual, firstWrong) << ", expected "
       << valueText(expected, firstWrong) << "; " << numWrong << " of "
       << actual.size() << " elements are outside of rtol " << tolerance.rtol
       << " and atol " << tolerance.atol << ", largest difference "
       << result.largestDifference;
  result.mismatch = text.str();
  return result;
}
