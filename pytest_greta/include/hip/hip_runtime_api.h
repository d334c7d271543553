// HIP's host API: a source that holds host code compiles as it is. Nothing has a body, as only device code is made.
#pragma once
#include "hip_runtime.h"
#include "library_types.h"
#include "greta/host_types.h"
#include "greta/host_graph_types.h"
#include "greta/host_functions.h"
#include "greta/host_graph_functions.h"
#include "greta/host_cxx.h"
#include "greta/host_math.h"
#include "greta/textures.h"
