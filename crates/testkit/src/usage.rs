//! What a process used, as Linux tells it in `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks of `utime` and `stime` in a second: the kernel's `USER_HZ`, 100 in its ABI on every platform we build for.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time that the process has used so far, all threads, dead ones included; to 10 ms.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat reads {stat:?}")))
}

/// The largest resident memory since the start, or since [`reset_rss_peak`], in bytes (`VmHWM`).
pub fn rss_peak(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map(|kib| kib * 1_024)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no VmHWM")))
}

/// Makes [`rss_peak`] start again from what is resident now. Needs the rights to the process.
pub fn reset_rss_peak(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// Fields 14 and 15, counted after the name in parentheses, which may itself hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 700 30 11 12";
        assert_eq!(ticks(stat), Some(730));
    }

    #[test]
    fn our_own_process_has_memory() {
        assert!(rss_peak(std::process::id()).expect("our own status") > 100_000);
        cpu_time(std::process::id()).expect("our own stat");
    }
}
