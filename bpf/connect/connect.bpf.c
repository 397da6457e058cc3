// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The connect probe where programs are given sockets. */
#define ATTEMPTS_IN_SOCKETS
#include "programs.h"
