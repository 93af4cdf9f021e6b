// AVX-512 with VNNI, and tiles of bfloat16.
#define ELMAN_ISA amx
#define ELMAN_VECTOR_BYTES 64
#define ELMAN_TILES
#include "stream/table.h"
