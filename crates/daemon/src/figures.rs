//! Figures of the machine, from `/proc`.

use std::fs;

use ferrosync_executive::output::{Figure, Measured};

/// Looks at one.
pub(crate) fn measure(figure: Figure) -> Measured {
    match figure {
        Figure::MemoryUsed => Measured::MemoryUsed(read("/proc/meminfo", memory_used)),
        Figure::Load15 => Measured::Load15(read("/proc/loadavg", load_15min)),
    }
}

fn read<T>(path: &str, parse: fn(&str) -> Option<T>) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    parse(&text).ok_or_else(|| format!("{path} says nothing that is known"))
}

/// Per cent of memory and swap space that is not free; what the kernel caches counts as used, as it does for C
/// (corosync `mon.c:percent_mem_used_get`, v3.1.7).
fn memory_used(meminfo: &str) -> Option<u8> {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let number = line.strip_prefix(':')?.trim().strip_suffix("kB")?;
        number.trim().parse::<u64>().ok()
    };
    let total = kib("MemTotal")?.checked_add(kib("SwapTotal")?)?;
    let free = kib("MemFree")?.checked_add(kib("SwapFree")?)?;
    let used = total.checked_sub(free)?.checked_mul(100)?;
    u8::try_from(used.checked_div(total)?).ok()
}

fn load_15min(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_figures() {
        assert!(matches!(
            measure(Figure::MemoryUsed),
            Measured::MemoryUsed(Ok(0..=100))
        ));
        assert!(matches!(measure(Figure::Load15), Measured::Load15(Ok(load)) if load >= 0.0));
    }

    #[test]
    fn memory_and_swap_count_together() {
        let text = "MemTotal:        1000 kB\nMemFree:          300 kB\nMemAvailable:     900 kB\n\
                    SwapTotal:        600 kB\nSwapFree:         500 kB\n";
        assert_eq!(memory_used(text), Some(50));
        for wrong in [
            "",
            "MemTotal: 5 kB",
            &text.replace("300", "-3"),
            &text.replace("1000", "1"),
        ] {
            assert_eq!(memory_used(wrong), None, "{wrong}");
        }
        let nothing = "MemTotal: 0 kB\nMemFree: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        assert_eq!(memory_used(nothing), None);
    }

    #[test]
    fn the_third_load_is_that_of_15_minutes() {
        assert_eq!(load_15min("0.10 0.20 0.35 1/200 4711\n"), Some(0.35));
        assert_eq!(load_15min("0.10"), None);
    }
}
