//! Timing of single operations and blocks.
use std::{hint::black_box, time::Instant};

/// Runs `f` and prints median, minimum and processor time per run in milliseconds, if `name` contains the first argument of the
/// command line.
pub fn time<R>(name: &str, runs: usize, mut f: impl FnMut() -> R) {
    if !name.contains(&std::env::args().nth(1).unwrap_or_default()) {
        return;
    }
    f();
    f();
    let before = processor_ms();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(f());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let cpu = (processor_ms() - before) / runs as f64;
    times.sort_by(f64::total_cmp);
    println!(r#"{{"op":"{name}","ms":{:.4},"min":{:.4},"cpu":{cpu:.4}}}"#, times[times.len() / 2], times[0]);
}

/// Returns the processor time of all threads so far in milliseconds, from `/proc`: nearly independent of other processes.
fn processor_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e6
}
