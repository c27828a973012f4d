# Finds LLVM and MLIR and checks the major version by hand: the installed
# package files accept exact version requests only.
set(ATTN_LLVM_MAJOR 22)
if(NOT MLIR_DIR)
  set(MLIR_DIR /usr/lib/llvm-${ATTN_LLVM_MAJOR}/lib/cmake/mlir)
endif()
find_package(MLIR REQUIRED CONFIG)
if(NOT LLVM_VERSION_MAJOR EQUAL ATTN_LLVM_MAJOR)
  message(FATAL_ERROR "attn needs LLVM/MLIR ${ATTN_LLVM_MAJOR}, but ${MLIR_DIR} "
    "belongs to ${LLVM_VERSION}; install libmlir-${ATTN_LLVM_MAJOR}-dev or set MLIR_DIR")
endif()
message(STATUS "LLVM/MLIR ${LLVM_VERSION} in ${LLVM_INSTALL_PREFIX}")

list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND "${LLVM_DEFINITIONS}")
add_definitions(${LLVM_DEFINITIONS_LIST})
