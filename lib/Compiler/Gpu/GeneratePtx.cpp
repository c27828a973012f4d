//===- GeneratePtx.cpp - PTX by LLVM's NVPTX target -----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../CodeGen.h"
#include "GpuCode.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"

using namespace mlir;
using namespace mlir::attn::compiler;

// The native target's initialization is in llvm/Support/TargetSelect.h, which
// has this one only where LLVM was configured so.
extern "C" {
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
}

/// What both LLVM 22 and the assembler of CUDA 13.0 know.
static constexpr llvm::StringLiteral ptxFeature = "+ptx88";

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
makeMachine(StringRef chip) {
  static bool initialized = [] {
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)initialized;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string message;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return failure("LLVM has no code generator for NVIDIA's GPUs: " + message);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, chip, ptxFeature, options, std::nullopt, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return failure("no code generator for '" + chip + "'");
  return machine;
}

/// What MLIR's translation does not say of the functions.
static void annotate(llvm::Module &module) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    // exp2 and its like in one instruction instead of four.
    function.addFnAttr("denormal-fp-math-f32", "preserve-sign,preserve-sign");
    if (function.getCallingConv() != llvm::CallingConv::PTX_Kernel) {
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
      function.addFnAttr(llvm::Attribute::AlwaysInline);
    }
    // Assembly holds instructions of whole warps; no pass may copy or move it
    // into a branch of some threads.
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction))
        if (call->isInlineAsm())
          call->addFnAttr(llvm::Attribute::Convergent);
  }
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  // Unrolled loops would hold each stage's descriptors in registers of their
  // own, of which there are too few.
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  tuning.LoopInterleaving = false;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

/// Compares bf16 as f32: with denormals flushed LLVM would write a modifier
/// that bf16 comparisons do not have.
static void widenComparisons(llvm::Module &module) {
  llvm::Type *wide = llvm::Type::getFloatTy(module.getContext());
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function)) {
      auto *compare = llvm::dyn_cast<llvm::FCmpInst>(&instruction);
      if (!compare || !compare->getOperand(0)->getType()->isBFloatTy())
        continue;
      llvm::IRBuilder<> builder(compare);
      for (llvm::Use &operand : compare->operands())
        operand.set(builder.CreateFPExt(operand.get(), wide));
    }
}

/// A kernel of LLVM dialect.
static bool isKernel(LLVM::LLVMFuncOp function) {
  return function->hasAttr("nvvm.kernel") ||
         function.getCConv() == LLVM::cconv::CConv::PTX_Kernel;
}

Operation *mlir::attn::compiler::findGpuModule(ModuleOp module) {
  for (Operation &op : *module.getBody())
    if (op.getName().getStringRef() == "gpu.module")
      return &op;
  return nullptr;
}

std::vector<KernelInfo>
mlir::attn::compiler::listKernels(Operation *gpuModule) {
  std::vector<KernelInfo> kernels;
  for (auto function :
       gpuModule->getRegion(0).front().getOps<LLVM::LLVMFuncOp>()) {
    if (!isKernel(function))
      continue;
    KernelInfo kernel;
    kernel.name = function.getName().str();
    if (auto sizes = function->getAttrOfType<DenseI32ArrayAttr>("nvvm.reqntid"))
      kernel.threads = llvm::product_of(sizes.asArrayRef());
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

llvm::Expected<std::string>
mlir::attn::compiler::generatePtx(Operation *gpuModule, StringRef chip) {
  MLIRContext &context = *gpuModule->getContext();
  registerBuiltinDialectTranslation(context);
  registerGPUDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerNVVMDialectTranslation(context);
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(gpuModule, llvmContext, "kernels");
  if (!module)
    return failure("translation of the kernels to LLVM failed");
  auto machine = makeMachine(chip);
  if (!machine)
    return machine.takeError();
  module->setTargetTriple((*machine)->getTargetTriple());
  module->setDataLayout((*machine)->createDataLayout());
  annotate(*module);
  optimize(*module, **machine);
  widenComparisons(*module);
  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr,
                                      llvm::CodeGenFileType::AssemblyFile))
    return failure("LLVM cannot write PTX for '" + chip + "'");
  passes.run(*module);
  return std::string(text.data(), text.size());
}

void mlir::attn::compiler::embedBytes(ModuleOp module, StringRef name,
                                      StringRef bytes, unsigned alignment) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), bytes.size());
  auto global = LLVM::GlobalOp::create(
      builder, module.getLoc(), type, /*isConstant=*/true,
      LLVM::Linkage::External, name, builder.getStringAttr(bytes));
  global.setAlignment(alignment);
}
