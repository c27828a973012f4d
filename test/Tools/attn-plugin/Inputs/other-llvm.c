/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 * Put before the real one, it makes a program look like one of LLVM 99. */
void LLVMGetVersion(unsigned *major, unsigned *minor, unsigned *patch) {
  *major = 99;
  *minor = 1;
  *patch = 0;
}
