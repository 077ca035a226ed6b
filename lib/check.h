/* cmocka, which wants other headers before it, in one include for all unit tests. */
#ifndef FOOTFALL_CHECK_H
#define FOOTFALL_CHECK_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
