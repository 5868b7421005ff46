#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tweedie_fuzz::tool::run::run(bytes));
