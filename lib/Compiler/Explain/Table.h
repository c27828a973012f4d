//===- Table.h - Text in columns --------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_EXPLAIN_TABLE_H
#define ATTN_LIB_COMPILER_EXPLAIN_TABLE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/raw_ostream.h"
#include <string>

namespace mlir::attn {

/// Rows whose cells stand below each other, each with lines of notes.
class Table {
public:
  explicit Table(llvm::ArrayRef<std::string> header) { add(header, {}); }

  void add(llvm::ArrayRef<std::string> cells,
           llvm::ArrayRef<std::string> notes) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], cells[i].size());
    rows.push_back({llvm::SmallVector<std::string>(cells),
                    llvm::SmallVector<std::string>(notes)});
  }

  void print(llvm::raw_ostream &os) const {
    for (const Row &row : rows) {
      // The last cell is not filled up: no spaces at the end of a line.
      for (size_t i = 0; i < row.cells.size(); ++i) {
        os << row.cells[i];
        if (i + 1 < row.cells.size())
          os.indent(widths[i] - row.cells[i].size() + 2);
      }
      os << "\n";
      for (const std::string &note : row.notes)
        os << "     " << note << "\n";
    }
  }

private:
  struct Row {
    llvm::SmallVector<std::string> cells, notes;
  };
  llvm::SmallVector<size_t> widths;
  llvm::SmallVector<Row> rows;
};

} // namespace mlir::attn

#endif // ATTN_LIB_COMPILER_EXPLAIN_TABLE_H
