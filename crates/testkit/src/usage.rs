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

/// User and system time of a process and of all its descendants, ended ones that were waited for included; to 10 ms.
/// What a server of many processes used, by the id of its first one.
pub fn cpu_time_of_tree(pid: u32) -> io::Result<Duration> {
    let mut parents = std::collections::HashMap::new();
    let mut used = std::collections::HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended since the folder was read.
        let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        let Some((_, after_name)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        parents.insert(id, u32::try_from(number(1)).unwrap_or(0));
        used.insert(id, (11..15).map(number).sum::<u64>());
    }
    let below = |id: &u32| {
        let mut id = *id;
        while id != pid {
            match parents.get(&id) {
                Some(parent) if *parent != 0 => id = *parent,
                _ => return false,
            }
        }
        true
    };
    let ticks: u64 = used.iter().filter(|(id, _)| below(id)).map(|(_, ticks)| ticks).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
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
