//! Renders files from registry data, checks them, swaps them in and reloads what reads them.
