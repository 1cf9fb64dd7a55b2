//! Long answers kept as bytes: one that is asked for again is a copy in another order.
//!
//! An answer of fifty instances is the same records each time, shuffled. None of them depends on another's place but the
//! glue, whose name points into its own SRV record; all else is copied. What an answer was made of is asked for each
//! time, and only the same instances and settings give the same records.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use hickory_proto::rr::{RData, Record};
use rand::seq::SliceRandom;
use registry_wire::catalog::CheckServiceNode;

use super::{
    encode::{POINTER_END, Reply, after_owner, header, opt},
    request::Request,
    settings::Settings,
    size::{Limits, Transport},
};
use crate::backend::Lookup;

/// Shorter answers are made as fast as they are found.
const ANSWERS_MIN: usize = 8;
/// How many bytes are kept; when one more comes, all go and the busy ones are soon back.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// About what a record takes beside its bytes.
const RECORD_BYTES: usize = 80;
const HEADER_BYTES: usize = 12;
/// A pointer to the name right behind the header: the question's.
const OWNER: [u8; 2] = 0xc000_u16.wrapping_add(HEADER_BYTES as u16).to_be_bytes();
/// The name that an SRV record points to stands so far behind its beginning: owner, type, class, TTL, length, numbers.
const TARGET_AT: usize = 2 + 10 + 6;

/// The answers, by question.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Vec<u8>, Arc<Answer>>,
    bytes: usize,
}

/// What an answer was made of.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) lookup: Lookup,
    pub(super) instances: Arc<Vec<CheckServiceNode>>,
}

/// One answer, of which the order is still open.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) lookup: Lookup,
    /// Weak: an answer keeps neither old instances nor old settings alive, and their places are not given anew.
    instances: Weak<Vec<CheckServiceNode>>,
    settings: Weak<Settings>,
    question: Vec<u8>,
    parts: Vec<Part>,
    /// The records beside the answers.
    glue: u16,
    /// The bytes of a reply without its OPT record.
    size: usize,
}

/// One record and those that go with it.
#[derive(Debug)]
struct Part {
    record: Vec<u8>,
    /// Without their names, which are what the record points to.
    glue: Vec<Vec<u8>>,
}

impl Ready {
    /// The answer kept for the question, if it was made under these settings.
    pub(super) fn find(&self, request: &Request, settings: &Arc<Settings>) -> Option<Arc<Answer>> {
        let answer = self.kept().answers.get(&request.question).cloned()?;
        (answer.settings.as_ptr() == Arc::as_ptr(settings)).then_some(answer)
    }

    /// Keeps all records that answer the question, if they are many and can be put into any order.
    pub(super) fn keep(
        &self,
        request: &Request,
        settings: &Arc<Settings>,
        source: &Source,
        records: [&[Record]; 2],
    ) {
        if records[0].len() < ANSWERS_MIN || settings.disable_compression {
            return;
        }
        let Some(answer) = Answer::of(request, settings, source, records) else { return };
        let bytes = answer.bytes_kept();
        let mut kept = self.kept();
        if kept.bytes + bytes > KEPT_BYTES_MAX {
            *kept = Kept::default();
        }
        let before = kept.answers.insert(request.question.clone(), Arc::new(answer));
        kept.bytes = kept.bytes + bytes - before.map_or(0, |before| before.bytes_kept());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("nobody panics while holding the answers")
    }
}

impl Answer {
    fn of(
        request: &Request,
        settings: &Arc<Settings>,
        source: &Source,
        [answers, glue]: [&[Record]; 2],
    ) -> Option<Self> {
        let mut parts = Vec::with_capacity(answers.len());
        let mut left = glue;
        for answer in answers {
            if answer.name != request.name {
                return None;
            }
            let own = match &answer.data {
                RData::SRV(srv) => left.iter().take_while(|record| record.name == srv.target).count(),
                _ => 0,
            };
            let (own, others) = left.split_at(own);
            left = others;
            let record = [OWNER.as_slice(), &after_owner(answer)?].concat();
            parts.push(Part { record, glue: own.iter().map(after_owner).collect::<Option<_>>()? });
        }
        let of_part = |part: &Part| {
            part.record.len() + part.glue.iter().map(|glue| OWNER.len() + glue.len()).sum::<usize>()
        };
        let size = HEADER_BYTES + request.question.len() + parts.iter().map(of_part).sum::<usize>();
        let glue = u16::try_from(glue.len()).ok()?;
        let lookup = source.lookup.clone();
        let (instances, settings) = (Arc::downgrade(&source.instances), Arc::downgrade(settings));
        let question = request.question.clone();
        let answer = Self { lookup, instances, settings, question, parts, glue, size };
        // All records have found their place, and pointers reach all of them.
        (left.is_empty() && size <= POINTER_END).then_some(answer)
    }

    fn bytes_kept(&self) -> usize {
        let records = self.parts.len() + usize::from(self.glue);
        2 * self.question.len() + self.size + records * RECORD_BYTES
    }

    /// Whether these are the instances it was made of.
    pub(super) fn is_of(&self, instances: &Arc<Vec<CheckServiceNode>>) -> bool {
        self.instances.as_ptr() == Arc::as_ptr(instances)
    }

    /// Whether the client takes the whole of it.
    pub(super) fn fits(&self, request: &Request, settings: &Settings, transport: Transport) -> bool {
        let limits = Limits::of(request, settings, transport, self.parts.len());
        let opt = request.edns.as_ref().map_or(0, |edns| opt(edns).len());
        self.parts.len() <= limits.answers && !limits.count_plain && self.size + opt <= limits.bytes
    }

    /// The reply in an order of its own. `flags` are those beside the request's.
    pub(super) fn reply(&self, request: &Request, flags: u16) -> Vec<u8> {
        let mut order: Vec<&Part> = self.parts.iter().collect();
        order.shuffle(&mut rand::rng());
        let head = Reply { flags, edns: request.edns.clone(), ..Reply::default() };
        let mut bytes = Vec::with_capacity(self.size + 64);
        bytes.extend_from_slice(&header(request, &head, [self.parts.len() as u16, 0, self.glue]));
        bytes.extend_from_slice(&self.question);
        let mut pointers = Vec::with_capacity(order.len());
        for part in &order {
            pointers.push((0xc000 | (bytes.len() + TARGET_AT) as u16).to_be_bytes());
            bytes.extend_from_slice(&part.record);
        }
        for (part, pointer) in order.iter().zip(&pointers) {
            for glue in &part.glue {
                bytes.extend_from_slice(pointer);
                bytes.extend_from_slice(glue);
            }
        }
        if let Some(edns) = &request.edns {
            bytes.extend_from_slice(&opt(edns));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::Message,
        rr::{
            Name,
            rdata::{A, AAAA, SRV, TXT},
        },
    };
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::dns::{
        encode::plain_name,
        request::{Received, read},
    };

    fn request(name: &Name, edns: bool) -> Request {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        message.extend(plain_name(name));
        message.extend([0, 33, 0, 1]);
        if edns {
            message.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        }
        match read(&message) {
            Received::Question(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    /// Records that answer `name`, and those beside them.
    fn records(random: &mut StdRng, name: &Name) -> [Vec<Record>; 2] {
        let labels = ["n1", "n2", "node", "dc1", "consul"];
        let (mut answers, mut glue) = (Vec::new(), Vec::new());
        let with_targets: bool = random.random();
        for number in 0..random.random_range(1..60) {
            let ttl = random.random();
            let target = (0..random.random_range(1..5)).map(|_| labels[random.random_range(0..5)].as_bytes());
            let target = Name::from_labels(target).unwrap();
            let address = |random: &mut StdRng| match random.random() {
                true => RData::A(A(random.random::<u32>().into())),
                false => RData::AAAA(AAAA(random.random::<u128>().into())),
            };
            if !with_targets {
                answers.push(Record::from_rdata(name.clone(), ttl, address(random)));
                continue;
            }
            let srv = RData::SRV(SRV::new(1, random.random(), number, target.clone()));
            answers.push(Record::from_rdata(name.clone(), ttl, srv));
            // What follows belongs to a record by its name, so that two of one name cannot be told apart.
            if glue.last().is_none_or(|last: &Record| last.name != target) {
                for _ in 0..random.random_range(0..3) {
                    let text = RData::TXT(TXT::new(vec![format!("a={number}")]));
                    let data = if random.random() { address(random) } else { text };
                    glue.push(Record::from_rdata(target.clone(), ttl, data));
                }
            }
        }
        [answers, glue]
    }

    #[test]
    fn hickory_reads_the_records_that_were_kept_in_any_order() {
        let mut random = StdRng::seed_from_u64(7);
        let settings = Arc::new(Settings::default());
        let source = Source { lookup: Lookup::Address([127, 0, 0, 1].into()), instances: Arc::default() };
        let mut kept = 0;
        for _ in 0..500 {
            let name = Name::from_ascii("Web.service.consul.").unwrap();
            let (request, [answers, glue]) = (request(&name, random.random()), records(&mut random, &name));
            let Some(answer) = Answer::of(&request, &settings, &source, [&answers, &glue]) else { continue };
            kept += 1;
            let bytes = answer.reply(&request, 0x0400);
            assert_eq!(bytes.len(), answer.size + request.edns.as_ref().map_or(0, |edns| opt(edns).len()));
            let read = Message::from_vec(&bytes).unwrap();
            assert_eq!(sorted(&read.answers), sorted(&answers));
            assert_eq!(sorted(&read.additionals), sorted(&glue));
            assert_eq!(read.edns.is_some(), request.edns.is_some());
            assert_eq!(read.queries[0].name().to_string(), "Web.service.consul.");
        }
        assert!(kept > 400, "only {kept} answers could be kept");
    }

    /// As text: names compare without regard to case, and the spelling counts here.
    fn sorted(records: &[Record]) -> Vec<String> {
        let mut lines: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
        lines.sort();
        lines
    }
}
