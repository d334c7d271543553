// libhiprtc.so on NVRTC: the calls of hiprtc that pytest_greta/devices/hip.py makes.
//
// As hiprtc does, every source is compiled with HIP's device declarations in front of it (prelude.h, as far as
// CUDA's own declarations differ), and an include of HIP's headers finds nothing more. The result is machine code
// (a cubin) for the architecture asked for, `--offload-arch=sm_90` (sm_90 stands
// for sm_90a); an AMD architecture is ignored.
#include <cstring>
#include <string>
#include <vector>

#include "hip_on_cuda.h"

#ifndef CUDA_INCLUDE
#define CUDA_INCLUDE ""
#endif
#ifndef NVRTC_LIBRARY
#define NVRTC_LIBRARY "libnvrtc.so"
#endif

namespace {

const char PRELUDE[] =
#include "prelude.inc"
    ;

// nvrtcResult and hiprtcResult have the same numbers from 0 to 11.
enum Result : int { SUCCESS = 0, INVALID_INPUT = 3, INVALID_PROGRAM = 4, BUILTIN_FAILURE = 7, INTERNAL_ERROR = 11 };

using NvrtcProgram = void*;

// NVRTC's own header is not in every toolkit: its functions are declared where they are called.
#define NVRTC_IN(library, name, ...) (reinterpret_cast<int (*)(__VA_ARGS__)>(symbol_or_die(library, #name)))
#define NVRTC(name, ...) NVRTC_IN(compiler(), name, __VA_ARGS__)

// NVRTC opens its library of built-ins by bare name. Opened here by its full path, beside NVRTC, it is found there.
void* load_with_builtins(void* library) {
  if (!library) return nullptr;
  int major = 0, minor = 0;
  NVRTC_IN(library, nvrtcVersion, int*, int*)(&major, &minor);
  Dl_info info;
  if (dladdr(dlsym(library, "nvrtcVersion"), &info) && info.dli_fname) {
    const std::string path = info.dli_fname;
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    const std::string name = "libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor);
    dlopen((folder + name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  return library;
}

void* compiler() {
  static const char* const names[] = {NVRTC_LIBRARY, "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", nullptr};
  static void* library = load_with_builtins(load_first(names));
  return library;
}

struct Program {
  NvrtcProgram handle = nullptr;
  bool is_machine_code = false;
  std::string log;  // of this library; NVRTC's own comes behind it
};

Result result_of(int nvrtc) { return static_cast<Result>(nvrtc <= 11 ? nvrtc : INTERNAL_ERROR); }

bool begins(const std::string& text, const char* with) { return text.rfind(with, 0) == 0; }

// Clang's options as NVRTC takes them; those that mean nothing to it are dropped.
std::vector<std::string> translate(int count, const char* const* options) {
  std::vector<std::string> out{"-std=c++17", "-default-device"};
  if (*CUDA_INCLUDE) out.push_back("-I" CUDA_INCLUDE);
  for (int i = 0; i < count; ++i) {
    std::string option = options[i];
    for (const char* name : {"--offload-arch=", "--gpu-architecture="}) {
      if (!begins(option, name)) continue;
      std::string arch = option.substr(std::strlen(name));
      if (arch == "sm_90") arch = "sm_90a";  // the same device with all of its instructions
      option = begins(arch, "sm_") || begins(arch, "compute_") ? "--gpu-architecture=" + arch : "";
      break;
    }
    if (option == "-ffast-math") option = "--use_fast_math";
    if (begins(option, "-std=")) out[0] = option;
    const bool dropped = option.empty() || begins(option, "-std=") || begins(option, "-O") ||
                         begins(option, "-W") || begins(option, "-f") || begins(option, "-m") ||
                         option == "-g" || option == "-nostdinc";
    if (!dropped) out.push_back(option);
  }
  return out;
}

}  // namespace

HIP_ON_CUDA_API Result hiprtcVersion(int* major, int* minor) {
  if (!compiler()) return BUILTIN_FAILURE;
  return result_of(NVRTC(nvrtcVersion, int*, int*)(major, minor));
}

HIP_ON_CUDA_API const char* hiprtcGetErrorString(Result result) {
  if (!compiler()) return "libnvrtc is not found: put its folder into LD_LIBRARY_PATH";
  auto text = reinterpret_cast<const char* (*)(int)>(symbol_or_die(compiler(), "nvrtcGetErrorString"));
  return text(result);
}

HIP_ON_CUDA_API Result hiprtcCreateProgram(Program** program, const char* source, const char* name, int header_count,
                                           const char** headers, const char** header_names) {
  *program = nullptr;
  if (!compiler()) return BUILTIN_FAILURE;
  if (!source || (header_count && (!headers || !header_names))) return INVALID_INPUT;
  std::vector<const char*> texts{PRELUDE}, names{"hip_on_cuda/prelude.h"};
  for (int i = 0; i < header_count; ++i) {
    texts.push_back(headers[i]);
    names.push_back(header_names[i]);
  }
  for (const char* built_in : {"hip/hip_runtime.h", "hip/hip_fp16.h", "hip/hip_bf16.h"}) {
    bool given = false;
    for (int i = 0; i < header_count; ++i) given = given || !std::strcmp(header_names[i], built_in);
    if (given) continue;
    texts.push_back("\n");
    names.push_back(built_in);
  }
  const std::string file = name && *name ? name : "CompileSource";
  const std::string text = "#include <hip_on_cuda/prelude.h>\n#line 1 \"" + file + "\"\n" + source;
  auto* made = new Program;
  auto create = NVRTC(nvrtcCreateProgram, NvrtcProgram*, const char*, const char*, int, const char* const*,
                      const char* const*);
  const Result result = result_of(
      create(&made->handle, text.c_str(), file.c_str(), static_cast<int>(texts.size()), texts.data(), names.data()));
  if (result == SUCCESS)
    *program = made;
  else
    delete made;
  return result;
}

HIP_ON_CUDA_API Result hiprtcCompileProgram(Program* program, int count, const char* const* options) {
  if (!program) return INVALID_PROGRAM;
  const std::vector<std::string> translated = translate(count, options);
  std::vector<const char*> pointers;
  for (const std::string& option : translated) pointers.push_back(option.c_str());
  auto compile = NVRTC(nvrtcCompileProgram, NvrtcProgram, int, const char* const*);
  const Result result = result_of(compile(program->handle, static_cast<int>(pointers.size()), pointers.data()));
  if (result == 5) {  // invalid option: NVRTC's log may be empty
    program->log = "NVRTC refused one of:";
    for (const std::string& option : translated) program->log += " " + option;
    program->log += "\n";
  }
  return result;
}

HIP_ON_CUDA_API Result hiprtcGetProgramLogSize(Program* program, std::size_t* size) {
  if (!program) return INVALID_PROGRAM;
  const Result result = result_of(NVRTC(nvrtcGetProgramLogSize, NvrtcProgram, std::size_t*)(program->handle, size));
  *size += program->log.size();
  return result;
}

HIP_ON_CUDA_API Result hiprtcGetProgramLog(Program* program, char* log) {
  if (!program) return INVALID_PROGRAM;
  std::memcpy(log, program->log.data(), program->log.size());
  return result_of(NVRTC(nvrtcGetProgramLog, NvrtcProgram, char*)(program->handle, log + program->log.size()));
}

// Machine code where a real architecture was asked for; else PTX, which the driver compiles when it is loaded.
HIP_ON_CUDA_API Result hiprtcGetCodeSize(Program* program, std::size_t* size) {
  if (!program) return INVALID_PROGRAM;
  const int result = NVRTC(nvrtcGetCUBINSize, NvrtcProgram, std::size_t*)(program->handle, size);
  program->is_machine_code = result == SUCCESS && *size > 0;
  if (program->is_machine_code) return SUCCESS;
  return result_of(NVRTC(nvrtcGetPTXSize, NvrtcProgram, std::size_t*)(program->handle, size));
}

HIP_ON_CUDA_API Result hiprtcGetCode(Program* program, char* code) {
  if (!program) return INVALID_PROGRAM;
  if (program->is_machine_code) return result_of(NVRTC(nvrtcGetCUBIN, NvrtcProgram, char*)(program->handle, code));
  return result_of(NVRTC(nvrtcGetPTX, NvrtcProgram, char*)(program->handle, code));
}

HIP_ON_CUDA_API Result hiprtcDestroyProgram(Program** program) {
  if (!program || !*program) return INVALID_PROGRAM;
  const Result result = result_of(NVRTC(nvrtcDestroyProgram, NvrtcProgram*)(&(*program)->handle));
  delete *program;
  *program = nullptr;
  return result;
}
