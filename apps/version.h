// version.h — what this build is called.
#pragma once
namespace haze::apps {
const char* version();
}
