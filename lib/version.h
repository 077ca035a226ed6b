/* The version, from versions.mk: the compiler is given FOOTFALL_VERSION as it stands there. */
#ifndef FOOTFALL_VERSION_H
#define FOOTFALL_VERSION_H

#define VERSION_QUOTED(v)  #v
#define VERSION_TEXT_OF(v) VERSION_QUOTED(v)
#define VERSION_TEXT       VERSION_TEXT_OF(FOOTFALL_VERSION)

#endif
