// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The connect probe where some programs know a socket by its number only. */
#include "programs.h"
