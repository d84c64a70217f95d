//! Any orders, in any batches, with restarts in between: the same answers and the same counts as one by one.

use hitring::store::sqlite::commit::Committer;
use hitring::store::{Act, Answered};
use proptest::prelude::*;

use super::{Ended, Folder, START, at, counted, create, delete, endpoint, key, recovered, set, value, waiting};

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Delete(u8),
    Set(u8, u64),
    Hit { id: u8, count: u64, ago: u64, key: Option<u8>, creates: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // A ring of a minute has 80 slots.
    let ago = prop_oneof![6 => Just(0), 2 => 0..200u64, 1 => Just(80), 1 => Just(160)];
    let hit = (0..4u8, 0..9u64, ago, proptest::option::of(0..6u8), any::<bool>())
        .prop_map(|(id, count, ago, key, creates)| Step::Hit { id, count, ago, key, creates });
    let set = (0..4u8, 0..9u64).prop_map(|(id, value)| Step::Set(id, value));
    let step =
        prop_oneof![1 => (0..4u8).prop_map(Step::Create), 1 => (0..4u8).prop_map(Step::Delete), 1 => set, 6 => hit];
    proptest::collection::vec(step, 1..40)
}

/// Does `steps` in batches that end where `cuts` says; answers what was answered, and what is counted at the end.
fn run(steps: &[Step], cuts: &[bool], kills: bool) -> (Vec<Ended>, Vec<(u64, u64, u64)>) {
    let folder = Folder::new();
    let ring = folder.ring(200);
    let mut committer = folder.committer(&ring);
    let (mut batch, mut all) = (Vec::new(), Vec::new());
    // A resource is made once.
    let mut made = [false; 4];
    for (number, step) in steps.iter().enumerate() {
        let (act, of) = match *step {
            Step::Create(id) if std::mem::replace(&mut made[usize::from(id)], true) => continue,
            Step::Create(id) => (create(&id.to_string()), None),
            Step::Delete(id) => (delete(&id.to_string()), None),
            Step::Set(id, value) => (set(&id.to_string(), value), None),
            Step::Hit { id, count, ago, key: of, creates } => {
                let at = Some(at(START - ago));
                let of = of.and_then(|of| key(&of.to_string(), &format!("{id} {count}")));
                (Act::Hit { endpoint: endpoint(&id.to_string()), count, at, visitor: None, creates }, of)
            }
        };
        let (one, told) = waiting(act, of);
        batch.push(one);
        all.push(told);
        if cuts[number % cuts.len()] || number + 1 == steps.len() {
            while !batch.is_empty() {
                let rest = batch.split_off(Committer::batch(&batch));
                assert!(committer.run(std::mem::replace(&mut batch, rest)).is_ok());
            }
            if kills {
                // Everything that is not in the files is forgotten.
                committer = folder.committer(&ring);
                recovered(&mut committer);
            }
        }
    }
    while !batch.is_empty() {
        let rest = batch.split_off(Committer::batch(&batch));
        assert!(committer.run(std::mem::replace(&mut batch, rest)).is_ok());
    }
    drop(committer);
    let mut committer = folder.committer(&ring);
    recovered(&mut committer);
    let counted = |id: &str| {
        let (window, ever) = counted(&ring, id);
        (window, ever, value(&committer, &ring, id))
    };
    let answers = all.iter().map(|told| told.try_recv().expect("it is told")).collect();
    (answers, (0..4u8).map(|id| counted(&id.to_string())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 256 }))]

    #[test]
    fn any_split_into_batches_gives_the_same_answers(
        steps in steps(), cuts in proptest::collection::vec(any::<bool>(), 1..8), kills in any::<bool>(),
    ) {
        let one_by_one = run(&steps, &[true], false);
        prop_assert_eq!(run(&steps, &cuts, kills), one_by_one.clone());
        // Acknowledged hits of a name that was never removed are counted, each once. Its value is what it was set to last and the hits
        // since then.
        for id in 0..4u8 {
            if steps.iter().any(|step| matches!(step, Step::Delete(gone) if *gone == id)) {
                continue;
            }
            let (mut sum, mut value) = (0, 0);
            let mut answers = one_by_one.0.iter();
            let mut made = [false; 4];
            for step in &steps {
                if let Step::Create(id) = step
                    && std::mem::replace(&mut made[usize::from(*id)], true)
                {
                    continue;
                }
                let answer = answers.next().expect("one each");
                match step {
                    Step::Hit { id: of, count, .. } if *of == id => {
                        let added = if matches!(answer, Ok(Answered { is_replay: false, .. })) { *count } else { 0 };
                        (sum, value) = (sum + added, value + added);
                    }
                    Step::Set(of, set) if *of == id => value = *set,
                    _ => {}
                }
            }
            let (_, ever, found) = one_by_one.1[usize::from(id)];
            prop_assert_eq!((ever, found), (sum, value));
        }
    }
}
