#pragma once
#include <cstdint>

namespace planeloom {

/// The most memory that this process has held since it began, or since restart_peak_rss(); mapped
/// files included.
uint64_t peak_rss_bytes();

/// The peak begins anew at what is held now; where the system refuses, the old one stays.
void restart_peak_rss();

}  // namespace planeloom
