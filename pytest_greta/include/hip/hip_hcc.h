// An older name of hip_ext.h.
#pragma once
#include "hip_ext.h"
