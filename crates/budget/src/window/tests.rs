use super::*;

fn at(text: &str) -> SystemTime {
    text.parse::<Timestamp>().expect("a time").into()
}

fn shown(second: i64) -> String {
    Timestamp::from_second(second).expect("a time").to_string()
}

#[test]
fn calendar_windows_begin_and_end_where_people_are() {
    for (window, moment, first, end) in [
        (
            Window::day("Europe/Berlin"),
            "2026-11-21T23:30:00Z",
            "2026-11-21T23:00:00Z",
            "2026-11-22T23:00:00Z",
        ),
        // 2026-11-21 is a Saturday.
        (
            Window::week("UTC"),
            "2026-11-21T12:00:00Z",
            "2026-11-16T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        (
            Window::month("America/New_York"),
            "2026-12-01T04:59:59Z",
            "2026-11-01T04:00:00Z",
            "2026-12-01T05:00:00Z",
        ),
        (
            Window::month("UTC"),
            "2028-02-29T23:59:59Z",
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
    ] {
        let window = window.expect("a zone");
        let span = window.at(at(moment));
        assert_eq!(shown(span.bucket()), first, "{window}");
        assert_eq!(shown(span.until()), end, "{window}");
        assert_eq!(span.since(), span.bucket(), "{window}");
    }
}

#[test]
fn days_on_which_clocks_change_have_their_own_length() {
    for (zone, moment, hours) in [
        ("Europe/Berlin", "2026-03-29T12:00:00Z", 23),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", 25),
        ("America/New_York", "2026-11-01T12:00:00Z", 25),
        // Clocks go from midnight to one: the day begins at one.
        ("Asia/Beirut", "2026-03-29T12:00:00Z", 23),
        ("Africa/Cairo", "2026-04-24T12:00:00Z", 23),
        // Half an hour.
        ("Australia/Lord_Howe", "2026-10-03T20:00:00Z", 23),
    ] {
        let span = Window::day(zone).expect("a zone").at(at(moment));
        let length = span.until() - span.bucket();
        let expected = if zone == "Australia/Lord_Howe" {
            23 * 3600 + 1800
        } else {
            hours * 3600
        };
        assert_eq!(length, expected, "{zone}");
    }
}

#[test]
fn the_last_second_and_the_first() {
    let day = Window::day("UTC").expect("a zone");
    let last = day.at(at("2026-11-21T23:59:59Z"));
    let first = day.at(at("2026-11-22T00:00:00Z"));
    assert_eq!(last.until(), first.bucket());
    assert_ne!(last, first);
    assert_eq!(day.at(at("2026-11-21T00:00:00Z")), last, "back in time");
}

#[test]
fn a_rolling_window_looks_back_in_parts() {
    let window = Window::rolling(Duration::from_secs(24 * 3600));
    let span = window.at(at("2026-11-21T10:20:00Z"));
    assert_eq!(shown(span.bucket()), "2026-11-21T10:00:00Z");
    assert_eq!(shown(span.since()), "2026-11-20T10:00:00Z");
    assert_eq!(shown(span.until()), "2026-11-21T11:00:00Z");
    let oldest = span.frees(span.since()).expect("it slides");
    assert_eq!(oldest, at("2026-11-21T11:00:00Z"));
    let newest = span.frees(span.bucket()).expect("it slides");
    assert_eq!(newest, at("2026-11-22T11:00:00Z"));
}

#[test]
fn the_longest_window_that_can_be_said_is_long() {
    let span = Window::rolling(Duration::MAX).at(at("2026-11-21T10:20:00Z"));
    assert!(span.until() - span.since() >= i64::from(u32::MAX));
}

#[test]
fn a_total_never_ends() {
    let span = Window::total().at(at("2026-11-21T10:20:00Z"));
    assert_eq!(span.frees(span.bucket()), None);
}

#[test]
fn a_zone_must_exist() {
    let error = Window::day("Europe/Atlantis").expect_err("no such place");
    assert_eq!(
        error.to_string(),
        "there is no time zone called `Europe/Atlantis`"
    );
}

proptest::proptest! {
    #[test]
    fn every_moment_is_in_its_window(
        seconds in 0_u64..200_000_000_000,
        rolling in 0_u64..10_000_000,
        zone in proptest::sample::select(&["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia"][..]),
    ) {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let now = super::seconds(moment);
        let rolling_window = Window::rolling(Duration::from_secs(rolling));
        let span = rolling_window.at(moment);
        proptest::prop_assert!(span.until() - span.since() >= rolling as i64);
        for window in [
            Window::day(zone).expect("a zone"),
            Window::week(zone).expect("a zone"),
            Window::month(zone).expect("a zone"),
            rolling_window,
            Window::total(),
        ] {
            let span = window.at(moment);
            proptest::prop_assert!(span.since() <= span.bucket());
            proptest::prop_assert!(span.bucket() <= now && now < span.until(), "{window} {span:?} {now}");
            proptest::prop_assert_eq!(window.at(moment), span, "remembered as it was found");
            if let Some(freed) = span.frees(span.bucket()) {
                let after = window.at(freed);
                proptest::prop_assert!(after.since() > span.bucket(), "booked now, and free then");
            }
        }
    }
}
