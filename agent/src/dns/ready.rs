//! Long answers kept as bytes: one that is asked for again is a copy in another order, whole or cut.
//!
//! An answer of fifty instances is the same records each time, shuffled. None of them depends on another's place but the
//! glue, whose name points into its own SRV record; all else is copied. What an answer was made of is asked for each
//! time, and only the same instances and settings give the same records.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use hickory_proto::rr::{RData, Record};
use rand::seq::SliceRandom;
use registry_wire::catalog::CheckServiceNode;

use super::{
    encode::{POINTER_END, Reply, after_owner, header, opt},
    request::{Request, flags},
    settings::Settings,
    size::{self, Limits, Transport},
};
use crate::backend::Lookup;

/// Shorter answers are made as fast as they are found.
const ANSWERS_MIN: usize = 8;
/// More instances hardly ever make an answer that can be kept.
const INSTANCES_MAX: usize = 512;
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
    /// Questions whose answers of these instances cannot be kept, so that they are not all made each time.
    refused: HashMap<Vec<u8>, Weak<Vec<CheckServiceNode>>>,
    bytes: usize,
}

/// What an answer was made of.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) lookup: Lookup,
    pub(super) instances: Arc<Vec<CheckServiceNode>>,
    /// Whether its records are all there is, and in any order as good.
    pub(super) is_whole: bool,
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
    /// Two records point to one name, so that one of them has the other's glue.
    shares_targets: bool,
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

    /// Whether records of all these instances are worth making, though fewer were enough.
    pub(super) fn wants(&self, question: &[u8], instances: &Arc<Vec<CheckServiceNode>>) -> bool {
        let refused = |of: &Weak<_>| of.as_ptr() == Arc::as_ptr(instances);
        (ANSWERS_MIN..=INSTANCES_MAX).contains(&instances.len())
            && !self.kept().refused.get(question).is_some_and(refused)
    }

    /// Keeps the records that answer the question, if they are many, all there is, and can be put into any order.
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
        let question = request.question.clone();
        let answer = source.is_whole.then(|| Answer::of(request, settings, source, records)).flatten();
        match answer {
            Some(answer) => self.kept().insert(question, answer),
            None => self.kept().refuse(question, &source.instances),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("nobody panics while holding the answers")
    }
}

impl Kept {
    fn insert(&mut self, question: Vec<u8>, answer: Answer) {
        self.make_room(answer.bytes_kept());
        self.refused.remove(&question);
        let before = self.answers.insert(question, Arc::new(answer));
        self.bytes -= before.map_or(0, |before| before.bytes_kept());
    }

    fn refuse(&mut self, question: Vec<u8>, instances: &Arc<Vec<CheckServiceNode>>) {
        if !self.refused.contains_key(&question) {
            self.make_room(RECORD_BYTES + question.len());
        }
        self.refused.insert(question, Arc::downgrade(instances));
    }

    fn make_room(&mut self, bytes: usize) {
        if self.bytes + bytes > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes += bytes;
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
        let (mut left, mut targets) = (glue, HashSet::new());
        let mut shares_targets = false;
        for answer in answers {
            if answer.name != request.name {
                return None;
            }
            let own = match &answer.data {
                RData::SRV(srv) => {
                    shares_targets |= !targets.insert(srv.target.to_lowercase());
                    left.iter().take_while(|record| record.name == srv.target).count()
                }
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
        let answer = Self { lookup, instances, settings, question, parts, glue, size, shares_targets };
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

    /// The reply in an order of its own, cut to what the client takes; `None` when it has to be made anew. `flags` are
    /// those beside the request's.
    pub(super) fn reply(
        &self,
        request: &Request,
        settings: &Settings,
        transport: Transport,
        flags: u16,
    ) -> Option<Vec<u8>> {
        let limits = Limits::of(request, settings, transport, self.parts.len());
        let mut order: Vec<&Part> = self.parts.iter().collect();
        let chosen = limits.answers.min(order.len());
        let (chosen, _) = order.partial_shuffle(&mut rand::rng(), chosen);
        self.in_order(request, chosen, settings, limits, flags)
    }

    fn in_order(
        &self,
        request: &Request,
        order: &[&Part],
        settings: &Settings,
        limits: Limits,
        flags: u16,
    ) -> Option<Vec<u8>> {
        match self.is_taken_whole(request, limits) {
            true => Some(self.whole(request, order, flags)),
            false if self.shares_targets => None,
            false => Some(self.cut(request, order, settings, limits, flags)),
        }
    }

    fn is_taken_whole(&self, request: &Request, limits: Limits) -> bool {
        let opt = request.edns.as_ref().map_or(0, |edns| opt(edns).len());
        self.parts.len() <= limits.answers && !limits.count_plain && self.size + opt <= limits.bytes
    }

    fn whole(&self, request: &Request, order: &[&Part], flags: u16) -> Vec<u8> {
        let head = Reply { flags, edns: request.edns.clone(), ..Reply::default() };
        let mut bytes =
            self.written(header(request, &head, [order.len() as u16, 0, self.glue]), order, usize::MAX);
        if let Some(edns) = &request.edns {
            bytes.extend_from_slice(&opt(edns));
        }
        bytes
    }

    /// What is left of the answer for a client that does not take the whole of it.
    fn cut(
        &self,
        request: &Request,
        order: &[&Part],
        settings: &Settings,
        limits: Limits,
        own_flags: u16,
    ) -> Vec<u8> {
        let plain_owner = self.question.len() - 4;
        let size_of = |part: &&Part| match limits.count_plain {
            true => part.plain_size(plain_owner),
            false => part.record.len() + part.glue.first().map_or(0, |glue| OWNER.len() + glue.len()),
        };
        let all_of_them = order.len() == self.parts.len();
        let before = HEADER_BYTES + self.question.len();
        let whole = match all_of_them {
            true => self.size + request.edns.as_ref().map_or(0, |edns| opt(edns).len()),
            false => before + order.iter().map(size_of).sum::<usize>(),
        };
        let parts = size::answers_that_fit(whole, limits.bytes, before, order.iter().map(size_of));
        let mut head = Reply { flags: own_flags, ..Reply::default() };
        if parts < self.parts.len() && settings.enable_truncate {
            head.flags |= flags::TRUNCATED;
        }
        let order = &order[..parts];
        let glue = order.iter().filter(|part| !part.glue.is_empty()).count();
        self.written(header(request, &head, [parts as u16, 0, glue as u16]), order, 1)
    }

    /// The bytes of these parts with as many records beside each.
    fn written(&self, header: [u8; HEADER_BYTES], order: &[&Part], glue_of_each: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size.min(512) + 64);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.question);
        let mut pointers = Vec::with_capacity(order.len());
        for part in order {
            pointers.push((0xc000 | (bytes.len() + TARGET_AT) as u16).to_be_bytes());
            bytes.extend_from_slice(&part.record);
        }
        for (part, pointer) in order.iter().zip(&pointers) {
            for glue in part.glue.iter().take(glue_of_each) {
                bytes.extend_from_slice(pointer);
                bytes.extend_from_slice(glue);
            }
        }
        bytes
    }
}

impl Part {
    /// The bytes of the record and the first beside it if no name were compressed.
    fn plain_size(&self, owner: usize) -> usize {
        let target = self.record.len().saturating_sub(TARGET_AT);
        let glue = self.glue.first().map_or(0, |glue| target + glue.len());
        self.record.len() - OWNER.len() + owner + glue
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

    fn request(name: &Name, edns_size: Option<u16>) -> Request {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns_size.is_some())];
        message.extend(plain_name(name));
        message.extend([0, 33, 0, 1]);
        if let Some(size) = edns_size {
            message.extend([0, 0, 41]);
            message.extend(size.to_be_bytes());
            message.extend([0; 6]);
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

    fn source() -> Source {
        let lookup = Lookup::Address([127, 0, 0, 1].into());
        Source { lookup, instances: Arc::default(), is_whole: true }
    }

    #[test]
    fn hickory_reads_the_records_that_were_kept_in_any_order() {
        let mut random = StdRng::seed_from_u64(7);
        let settings = Arc::new(Settings::default());
        let mut kept = 0;
        for _ in 0..500 {
            let name = Name::from_ascii("Web.service.consul.").unwrap();
            let size = random.random::<bool>().then_some(4096);
            let (request, [answers, glue]) = (request(&name, size), records(&mut random, &name));
            let Some(answer) = Answer::of(&request, &settings, &source(), [&answers, &glue]) else {
                continue;
            };
            kept += 1;
            let bytes = answer.reply(&request, &settings, Transport::Tcp, 0x0400).unwrap();
            assert_eq!(bytes.len(), answer.size + request.edns.as_ref().map_or(0, |edns| opt(edns).len()));
            let read = Message::from_vec(&bytes).unwrap();
            assert_eq!(sorted(&read.answers), sorted(&answers));
            assert_eq!(sorted(&read.additionals), sorted(&glue));
            assert_eq!(read.edns.is_some(), request.edns.is_some());
            assert_eq!(read.queries[0].name().to_string(), "Web.service.consul.");
        }
        assert!(kept > 400, "only {kept} answers could be kept");
    }

    #[test]
    fn what_is_kept_is_cut_as_what_is_made_anew() {
        let mut random = StdRng::seed_from_u64(11);
        let mut cut = 0;
        for _ in 0..3_000 {
            let mut settings = Settings { enable_truncate: random.random(), ..Settings::default() };
            settings.udp_answer_limit = random.random_range(1..12);
            let settings = Arc::new(settings);
            let name = Name::from_ascii("Web.service.consul.").unwrap();
            let size = random.random::<bool>().then(|| random.random_range(500..2_500));
            let (request, [mut answers, glue]) = (request(&name, size), records(&mut random, &name));
            let Some(answer) = Answer::of(&request, &settings, &source(), [&answers, &glue]) else {
                continue;
            };
            if answer.shares_targets || answers.len() < 2 {
                continue;
            }
            let mut order: Vec<usize> = (0..answers.len()).collect();
            order.shuffle(&mut random);
            let parts: Vec<&Part> = order.iter().map(|at| &answer.parts[*at]).collect();
            answers = order.iter().map(|at| answers[*at].clone()).collect();
            let limits = Limits::of(&request, &settings, Transport::Udp, parts.len());
            let parts = &parts[..limits.answers.min(parts.len())];
            let kept = answer
                .in_order(&request, parts, &settings, limits, flags::AUTHORITATIVE)
                .expect("no target is shared");
            let (flags, edns) = (flags::AUTHORITATIVE, request.edns.clone());
            let reply = Reply { flags, answers, additionals: glue, edns, ..Reply::default() };
            let anew = size::write(&request, reply, &settings, Transport::Udp);
            assert_eq!(kept.len(), anew.len());
            let [kept, anew] = [kept, anew].map(|bytes| Message::from_vec(&bytes).unwrap());
            cut += usize::from(kept.answers.len() < answer.parts.len());
            assert_eq!(kept.metadata, anew.metadata);
            assert_eq!(format!("{:?}", kept.answers), format!("{:?}", anew.answers));
            assert_eq!(sorted(&kept.additionals), sorted(&anew.additionals));
            assert_eq!(kept.edns.is_some(), anew.edns.is_some());
        }
        assert!(cut > 500, "only {cut} answers were cut");
    }

    #[test]
    fn a_question_is_refused_for_the_instances_it_had() {
        let (ready, settings) = (Ready::default(), Arc::new(Settings::default()));
        let mut random = StdRng::seed_from_u64(3);
        let name = Name::from_ascii("web.service.consul.").unwrap();
        let request = request(&name, None);
        let answers: Vec<_> = std::iter::repeat_with(|| records(&mut random, &name))
            .find(|[answers, _]| answers.len() > ANSWERS_MIN)
            .into_iter()
            .flatten()
            .collect();
        let [before, after] = [50, 50].map(|number| Arc::new(vec![CheckServiceNode::default(); number]));
        assert!(ready.wants(&request.question, &before));
        let source = Source { instances: before.clone(), is_whole: false, ..source() };
        ready.keep(&request, &settings, &source, [&answers[0], &answers[1]]);
        assert!(!ready.wants(&request.question, &before));
        assert!(ready.wants(&request.question, &after));
    }

    /// As text: names compare without regard to case, and the spelling counts here.
    fn sorted(records: &[Record]) -> Vec<String> {
        let mut lines: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
        lines.sort();
        lines
    }
}
