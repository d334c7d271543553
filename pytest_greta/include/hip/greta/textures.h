// Textures and surfaces: their names, each refused where device code calls it.
#pragma once

#define GRETA_NO_TEXTURE(name)                                                                                       \
  template <typename T = float4, typename... A>                                                                      \
  __attribute__((device, unavailable("textures and surfaces need ROCm; read a pointer in their place"))) T name(A...);
GRETA_NO_TEXTURE(tex1D)
GRETA_NO_TEXTURE(tex1Dfetch)
GRETA_NO_TEXTURE(tex1DLod)
GRETA_NO_TEXTURE(tex1DGrad)
GRETA_NO_TEXTURE(tex1DLayered)
GRETA_NO_TEXTURE(tex1DLayeredLod)
GRETA_NO_TEXTURE(tex1DLayeredGrad)
GRETA_NO_TEXTURE(tex2D)
GRETA_NO_TEXTURE(tex2DLod)
GRETA_NO_TEXTURE(tex2DGrad)
GRETA_NO_TEXTURE(tex2DLayered)
GRETA_NO_TEXTURE(tex2DLayeredLod)
GRETA_NO_TEXTURE(tex2DLayeredGrad)
GRETA_NO_TEXTURE(tex2Dgather)
GRETA_NO_TEXTURE(tex3D)
GRETA_NO_TEXTURE(tex3DLod)
GRETA_NO_TEXTURE(tex3DGrad)
GRETA_NO_TEXTURE(texCubemap)
GRETA_NO_TEXTURE(texCubemapLod)
GRETA_NO_TEXTURE(texCubemapGrad)
GRETA_NO_TEXTURE(texCubemapLayered)
GRETA_NO_TEXTURE(texCubemapLayeredLod)
GRETA_NO_TEXTURE(texCubemapLayeredGrad)
GRETA_NO_TEXTURE(surf1Dread)
GRETA_NO_TEXTURE(surf1Dwrite)
GRETA_NO_TEXTURE(surf1DLayeredread)
GRETA_NO_TEXTURE(surf1DLayeredwrite)
GRETA_NO_TEXTURE(surf2Dread)
GRETA_NO_TEXTURE(surf2Dwrite)
GRETA_NO_TEXTURE(surf2DLayeredread)
GRETA_NO_TEXTURE(surf2DLayeredwrite)
GRETA_NO_TEXTURE(surf3Dread)
GRETA_NO_TEXTURE(surf3Dwrite)
GRETA_NO_TEXTURE(surfCubemapread)
GRETA_NO_TEXTURE(surfCubemapwrite)
GRETA_NO_TEXTURE(surfCubemapLayeredread)
GRETA_NO_TEXTURE(surfCubemapLayeredwrite)
#undef GRETA_NO_TEXTURE

template <typename T, int dimensions = 1, hipTextureReadMode mode = hipReadModeElementType>
struct __attribute__((unavailable("textures and surfaces need ROCm; read a pointer in their place"))) texture;
