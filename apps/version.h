// version.h — what this build is called.
#pragma once
namespace haze::apps {

const char* version();
/// The commit it was built from, "+dirty" when the tree had changes; "unknown" outside a checkout.
const char* commit();

}  // namespace haze::apps
