// SPDX-License-Identifier: Apache-2.0
// A shared library that is no in-process service.
#include "tests/unit/service-model/modules/module.h"

extern "C" const int something_else;
const int something_else = 1;
