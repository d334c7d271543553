// What HIP shares with OpenGL: declarations of the host API.
#pragma once
#include "hip_runtime.h"

using GLuint = unsigned;
using GLenum = unsigned;
enum hipGLDeviceList { hipGLDeviceListAll = 1, hipGLDeviceListCurrentFrame = 2, hipGLDeviceListNextFrame = 3 };

extern "C" {
hipError_t hipGLGetDevices(unsigned* count, int* devices, unsigned size, hipGLDeviceList list);
hipError_t hipGraphicsGLRegisterBuffer(hipGraphicsResource** resource, GLuint buffer, unsigned flags);
hipError_t hipGraphicsGLRegisterImage(hipGraphicsResource** resource, GLuint image, GLenum target, unsigned flags);
}
