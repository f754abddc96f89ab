//! From the calls that are allowed to the program that the kernel runs before each one.
//!
//! The number is looked up in a balanced tree of ranges: a program costs at each call what is on the way, and at each
//! start what is in it, and a tree keeps both small. Foreign architectures, which have other numbers for the same calls,
//! end the process; numbers that this program does not know answer ENOSYS, so that a C library newer than it falls back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use syscalls::Sysno;
use updates_protocol::SystemCallFilter;

use super::names::{Calls, number};
use super::program::{
    ALLOW, ARCHITECTURE, IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, Instruction, KILL_PROCESS, MOST, NUMBER, and, argument,
    give, hexadecimal, jump, load, refuse, test,
};
use super::restrict::{Clause, Condition, ENOSYS, EPERM, Restrictions, Test, Verdict};

/// `AUDIT_ARCH_*` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: u32 = 0xc000_00b7;

/// From here on numbers are those of x32, the calls of x86-64 with shorter pointers (`__X32_SYSCALL_BIT`).
pub(super) const X32: u32 = 0x4000_0000;

/// Numbers from `first` up to the next range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) verdict: Verdict,
}

/// A filter that was compiled: nearly all modules of a run have one of a few.
struct Known {
    calls: Calls,
    restrictions: Restrictions,
    filter: SystemCallFilter,
}

static FILTERS: Mutex<Vec<Known>> = Mutex::new(Vec::new());
/// How many filters are remembered; beyond that they are compiled anew.
const MOST_FILTERS: usize = 32;

/// The filter that lets `calls` through, as far as `restrictions` allow.
pub(in crate::profile) fn filter(calls: &Calls, restrictions: &Restrictions) -> SystemCallFilter {
    // A panic elsewhere leaves the list whole: it is only ever added to in one step.
    let mut known = FILTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let same = known.iter().find(|known| Arc::ptr_eq(&known.calls, calls) && known.restrictions == *restrictions);
    if let Some(known) = same {
        return known.filter.clone();
    }
    let filter = work_out(calls, restrictions);
    if known.len() < MOST_FILTERS {
        known.push(Known { calls: calls.clone(), restrictions: restrictions.clone(), filter: filter.clone() });
    }
    filter
}

fn work_out(calls: &BTreeSet<&'static str>, restrictions: &Restrictions) -> SystemCallFilter {
    let program = compile(&ranges(calls, restrictions));
    let summary = format!(
        "{} of {} system calls in a program of {} instructions; foreign architectures end the process",
        calls.len(),
        Sysno::iter().count(),
        program.len()
    );
    SystemCallFilter { program: hexadecimal(&program), summary, settings: restrictions.settings() }
}

/// Every number from 0, each with its verdict. What this architecture has no call for answers ENOSYS.
pub(super) fn ranges(calls: &BTreeSet<&'static str>, restrictions: &Restrictions) -> Vec<Range> {
    let mut verdicts: Vec<(u32, Verdict)> = Sysno::iter()
        .filter_map(|call| {
            let allowed = calls.contains(call.name());
            let verdict = if allowed { restrictions.verdict(call.name()) } else { Verdict::Refuse(EPERM) };
            number(call.name()).map(|number| (number, verdict))
        })
        .collect();
    verdicts.sort_by_key(|(number, _)| *number);
    let mut ranges: Vec<Range> = Vec::new();
    let mut next = 0;
    let mut push = |first, verdict: Verdict| {
        if ranges.last().is_none_or(|last| last.verdict != verdict) {
            ranges.push(Range { first, verdict });
        }
    };
    for (number, verdict) in verdicts {
        if number > next {
            push(next, Verdict::Refuse(ENOSYS));
        }
        push(number, verdict);
        next = number + 1;
    }
    push(next, Verdict::Refuse(ENOSYS));
    push(X32, Verdict::Refuse(EPERM));
    ranges
}

pub(super) fn compile(ranges: &[Range]) -> Vec<Instruction> {
    let mut program = vec![load(ARCHITECTURE), test(IF_EQUAL, NATIVE, 1, 0), give(KILL_PROCESS), load(NUMBER)];
    program.extend(tree(ranges));
    // Some 350 calls, of which two dozen have conditions: a fifth of that at most.
    debug_assert!(program.len() <= MOST, "{} instructions", program.len());
    program
}

fn tree(ranges: &[Range]) -> Vec<Instruction> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let Some(middle) = right.first() else { return vec![give(KILL_PROCESS)] };
    if left.is_empty() {
        return leaf(&middle.verdict);
    }
    let (left, rest) = (tree(left), tree(right));
    let mut program = match u8::try_from(left.len()) {
        Ok(over) => vec![test(IF_AT_LEAST, middle.first, over, 0)],
        // A conditional jump reaches 255 instructions.
        Err(_) => vec![test(IF_AT_LEAST, middle.first, 0, 1), jump(left.len())],
    };
    program.extend(left);
    program.extend(rest);
    program
}

fn leaf(verdict: &Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Allow => vec![give(ALLOW)],
        Verdict::Refuse(errno) => vec![refuse(*errno)],
        Verdict::Unless(clauses) => {
            let mut program: Vec<_> = clauses.iter().flat_map(clause).collect();
            program.push(give(ALLOW));
            program
        }
    }
}

/// Returns when the clause holds, and ends up behind itself when it does not.
fn clause(clause: &Clause) -> Vec<Instruction> {
    let mut program = vec![refuse(clause.errno)];
    for condition in clause.conditions.iter().rev() {
        let mut longer = self::condition(condition, program.len());
        longer.append(&mut program);
        program = longer;
    }
    program
}

/// Goes on when the condition holds, and passes over `rest` instructions when it does not.
fn condition(condition: &Condition, rest: usize) -> Vec<Instruction> {
    // A clause has two conditions at most, the longest a comparison with each address family.
    let short = |over: usize| u8::try_from(over).unwrap_or(u8::MAX);
    let load = load(argument(condition.argument));
    match &condition.test {
        Test::AnyBit(bits) => vec![load, test(IF_ANY_BIT, *bits, 0, short(rest))],
        Test::AllBits(bits) => vec![load, and(*bits), test(IF_EQUAL, *bits, 0, short(rest))],
        Test::Is(value) => vec![load, test(IF_EQUAL, *value, 0, short(rest))],
        Test::NoneOf { ignore, values } => {
            let mut program = vec![load, and(!ignore)];
            for (at, value) in values.iter().enumerate() {
                program.push(test(IF_EQUAL, *value, short(values.len() - at - 1 + rest), 0));
            }
            program
        }
    }
}
