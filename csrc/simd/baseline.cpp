// What every processor of the kind has; on ARM this is NEON.
#define ELMAN_ISA baseline
#define ELMAN_VECTOR_BYTES 16
#include "stream/table.h"
