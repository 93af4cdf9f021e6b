// The parts of the module, one file each.
#pragma once

#include <nanobind/nanobind.h>

namespace elman::bind {

void bind_stack(nanobind::module_& module);
void bind_stream(nanobind::module_& module);

}  // namespace elman::bind
