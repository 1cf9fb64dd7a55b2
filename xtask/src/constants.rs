//! Which constants running functions use, read from the relocations of the program's object: they are laid side by side too.

use std::collections::{BTreeSet, HashMap};

/// Sections of constants of their own, in the words of the compiler.
const CONSTANTS: &str = ".rodata.";
/// Sections of constants with pointers in them: lists of texts, tables of functions, places in the source.
const POINTERS: &str = ".data.rel.ro.";
/// What the compiler puts between `.text.` and a function's name, and behind one that it merged with others.
const KINDS: [&str; 3] = ["hot.", "unlikely.", "startup."];
const MERGED: &str = ".Tgm";

/// The sections of constants that the functions `ran` use, in the order of these, and then those that their lists of texts lead
/// to; each once.
///
/// `relocations` is what `objdump --reloc` prints of an object in which each function and each constant has a section.
pub(crate) fn used_by<'a>(ran: impl Iterator<Item = &'a str>, relocations: &'a str) -> Vec<&'a str> {
    let used = uses(relocations);
    let of = |section: &str| used.get(section).map_or(&[][..], Vec::as_slice);
    let mut seen = BTreeSet::new();
    let mut near = Vec::new();
    for name in ran {
        near.extend(of(name).iter().copied().filter(|section| seen.insert(*section)));
    }
    let far: Vec<&str> = near
        .iter()
        .flat_map(|section| of(section))
        .copied()
        .filter(|section| seen.insert(*section))
        .collect();
    near.into_iter().chain(far).filter(|section| section.starts_with(CONSTANTS)).collect()
}

/// What each function, by its name, and each section of pointers names of sections of constants, in the order of their names.
fn uses(relocations: &str) -> HashMap<&str, Vec<&str>> {
    let mut all = HashMap::<&str, BTreeSet<&str>>::new();
    let mut user = "";
    for line in relocations.lines() {
        // RELOCATION RECORDS FOR [.text._ZN1aE]:
        if let Some(rest) = line.strip_prefix("RELOCATION RECORDS FOR [") {
            user = function(rest.split(']').next().unwrap_or_default());
            continue;
        }
        // 0000000000000007 R_X86_64_PC32     .rodata..Lanon.1-0x0000000000000004
        let Some(place) = line.split_whitespace().nth(2) else { continue };
        let name = place.rsplit_once("-0x").or(place.rsplit_once("+0x")).map_or(place, |(name, _)| name);
        if name.starts_with(CONSTANTS) || name.starts_with(POINTERS) {
            all.entry(user).or_default().insert(name);
        }
    }
    all.into_iter().map(|(user, names)| (user, names.into_iter().collect())).collect()
}

/// The name of the function in a section of code; other sections keep theirs.
fn function(section: &str) -> &str {
    let Some(name) = section.strip_prefix(".text.") else { return section };
    let name = KINDS.iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
    name.strip_suffix(MERGED).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::used_by;

    #[test]
    fn constants_of_functions_that_ran_come_before_those_of_their_lists() {
        let relocations = "
RELOCATION RECORDS FOR [.text.unlikely._ZN1cE]:
OFFSET           TYPE              VALUE
0000000000000007 R_X86_64_PC32     .rodata..Lanon.2-0x0000000000000004
000000000000000f R_X86_64_PC32     .data.rel.ro..Lanon.3-0x0000000000000004
0000000000000017 R_X86_64_PLT32    .text._ZN1bE-0x0000000000000004

RELOCATION RECORDS FOR [.text._ZN1aE.Tgm]:
OFFSET           TYPE              VALUE
0000000000000007 R_X86_64_PC32     .rodata..Lanon.9+0x000000000000000c

RELOCATION RECORDS FOR [.text._ZN4coldE]:
OFFSET           TYPE              VALUE
0000000000000007 R_X86_64_PC32     .rodata..Lanon.4

RELOCATION RECORDS FOR [.data.rel.ro..Lanon.3]:
OFFSET           TYPE              VALUE
0000000000000000 R_X86_64_64       .rodata..Lanon.1
0000000000000010 R_X86_64_64       .rodata..Lanon.2
";
        let of = |ran: &[&'static str]| used_by(ran.iter().copied(), relocations);
        assert_eq!(of(&["_ZN1aE", "_ZN1cE"]), [".rodata..Lanon.9", ".rodata..Lanon.2", ".rodata..Lanon.1"]);
        assert_eq!(of(&["_ZN1cE", "_ZN1aE"])[0], ".rodata..Lanon.2");
        assert_eq!(of(&["gone"]), [""; 0]);
    }
}
