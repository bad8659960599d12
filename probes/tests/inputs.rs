//! Each probe looks at 100,000 inputs made of its seeds, and at whatever broke it before.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use tollkeeper_probes::{ALL, mutation::Mutation};

/// As many as every run looks at; `PROBE_INPUTS` takes more.
const INPUTS: u64 = 100_000;

fn holds(name: &str) {
    let probe = ALL.iter().find(|probe| probe.name == name).unwrap();
    let count = env::var("PROBE_INPUTS").map_or(INPUTS, |count| count.parse().unwrap());
    let first: u64 = env::var("PROBE_FIRST").map_or(1, |first| first.parse().unwrap());
    let (mut inputs, begin) = (Mutation::of((probe.seeds)(), first), Instant::now());
    let known = crashes(name).into_iter().chain((probe.seeds)());
    let (mut looked, mut broke_it) = (0_u64, None);
    for input in known.chain((0..count).map(|_| inputs.input())) {
        looked += 1;
        if std::panic::catch_unwind(|| (probe.look)(&input)).is_err() {
            broke_it = Some(input);
            break;
        }
    }
    let broken = u64::from(broke_it.is_some());
    println!("hold: probe/{name} {looked} broke_it={broken} seconds={:.1}", begin.elapsed().as_secs_f64());
    assert_eq!(broke_it.map(|input| input.escape_ascii().to_string()), None, "input {looked} from PROBE_FIRST={first}");
}

/// What ever broke it.
fn crashes(name: &str) -> Vec<Vec<u8>> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes")).into_iter().flatten();
    let paths = folder.map(|crash| crash.unwrap().path());
    let of_probe = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}-"));
    paths.filter(of_probe).map(|path| fs::read(path).unwrap()).collect()
}

macro_rules! each {
    ($($test:ident: $name:ident,)*) => {
        $(#[test] fn $test() { holds(stringify!($name)); })*

        #[test]
        fn every_probe_is_run() {
            assert_eq!([$(stringify!($name)),*].as_slice(), ALL.iter().map(|probe| probe.name).collect::<Vec<_>>());
        }
    };
}

each! {
    no_answer_but_a_genuine_one_is_opened: answers,
    no_body_is_taken_for_what_it_is_not: bodies,
    no_clock_and_no_quota_gives_a_token_that_is_not_there: bucket,
    no_configuration_is_taken_in_part: config,
    no_header_hides_a_credential_or_an_identity: credential,
    no_request_passes_that_a_plain_model_would_refuse: gate,
    no_letter_of_a_key_can_be_mistaken: key_text,
    no_cell_lends_what_was_not_lent: lease,
    no_origin_matches_another_place: origin,
    no_path_has_two_meanings: path,
    nothing_behind_a_good_seal_is_read_two_ways: sealed,
    no_shard_says_two_things: shard,
    no_token_is_taken_that_another_library_refuses: token,
    no_window_holds_more_than_its_limit: window,
}
