//! HCL1 and JSON configuration text to values: pure.
