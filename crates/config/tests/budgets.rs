//! Mistakes in `budgets`, `unpriced_model` and `store`: each is one error that says where it is and what to do.

use backstop_config::{Config, Environment};

const MODELS: &str = "model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o}
    model_info: {id: primary}
  - model_name: backup
    litellm_params: {model: anthropic/claude-sonnet-4-6}
keys:
  - {id: web, key: sk-web, team: growth}
";

fn parse(rest: &str) -> Result<Config, String> {
    let environment = Environment::given([
        ("OPENAI_API_KEY", "sk-one"),
        ("ANTHROPIC_API_KEY", "sk-two"),
        ("REDIS", "redis://somewhere"),
    ]);
    let text = format!("{MODELS}{rest}");
    Config::parse("b.yaml", &text, &environment).map_err(|error| error.to_string())
}

#[track_caller]
fn error(rest: &str) -> String {
    match parse(rest) {
        Ok(_) => panic!("accepted:\n{rest}"),
        Err(error) => error,
    }
}

/// Each of these, alone in `budgets`.
#[track_caller]
fn budget(entry: &str) -> String {
    error(&format!("budgets:\n  - {{{entry}}}\n"))
}

#[test]
fn in_limits() {
    for (entry, expected) in [
        (
            "scope: global, window: total",
            "b.yaml:10:5: this budget has no limit; say `limit_usd`, `limit_tokens` or `limit_requests`",
        ),
        (
            "scope: global, window: total, limit_usd: 1, limit_tokens: 1",
            "b.yaml:10:5: this budget has several limits; make it one budget for each",
        ),
        (
            "scope: global, window: total, limit_usd: -1",
            "b.yaml:10:47: `limit_usd` is negative",
        ),
        (
            "scope: global, window: total, limit_usd: -0.5",
            "b.yaml:10:47: `limit_usd` is negative",
        ),
        (
            "scope: global, window: total, limit_usd: 0.0000000001",
            "b.yaml:10:47: `limit_usd` is finer than a billionth of a dollar",
        ),
        (
            "scope: global, window: total, limit_usd: 12.0000000005",
            "b.yaml:10:47: `limit_usd` is finer than a billionth of a dollar",
        ),
        (
            "scope: global, window: total, limit_usd: a lot",
            "b.yaml:10:47: `limit_usd` is not an amount of dollars such as 30 or 0.25",
        ),
        (
            "scope: global, window: total, limit_usd: $30",
            "b.yaml:10:47: `limit_usd` is not an amount of dollars such as 30 or 0.25",
        ),
        (
            "scope: global, window: total, limit_usd: [30]",
            "b.yaml:10:47: `limit_usd` must be a number, but is a list",
        ),
        (
            "scope: global, window: total, limit_usd: 99999999999999999999",
            "b.yaml:10:47: `limit_usd` is more than 18 billion dollars",
        ),
        (
            "scope: global, window: total, limit_usd: 9000000000",
            "b.yaml:10:47: this limit is too large to count; leave the budget out",
        ),
        (
            "scope: global, window: total, limit_tokens: -1",
            "b.yaml:10:50: `limit_tokens` must be a whole number of 0 or more",
        ),
        (
            "scope: global, window: total, limit_requests: 1.5",
            "b.yaml:10:52: `limit_requests` must be a whole number of 0 or more",
        ),
        (
            "scope: user, id: '', window: total, limit_requests: 1",
            "b.yaml:10:23: `id` is empty",
        ),
        (
            "scope: user, name: '', window: total, limit_requests: 1",
            "b.yaml:10:25: `name` is empty",
        ),
        (
            "scope: global, window: total, limit_request: 1",
            "b.yaml:10:36: unknown key `limit_request` in `budgets`; did you mean `limit_requests`?",
        ),
        (
            "scope: global, window: total, max_budget: 30",
            "b.yaml:10:36: `max_budget` is a LiteLLM key that is not supported yet; remove the key",
        ),
    ] {
        assert_eq!(budget(entry), expected, "{entry}");
    }
}

#[test]
fn exact_amounts_are_taken_as_they_are_written() {
    for (written, shown) in [
        ("0.000000001", "$0.000000001"),
        ("30", "$30"),
        ("0.1", "$0.1"),
        ("1.50", "$1.5"),
        ("9000000", "$9000000"),
        ("1000000000", "$1000000000"),
        ("os.environ/LIMIT", "$12.5"),
    ] {
        let environment = Environment::given([
            ("OPENAI_API_KEY", "sk-one"),
            ("ANTHROPIC_API_KEY", "sk-two"),
            ("LIMIT", "12.5"),
        ]);
        let text =
            format!("{MODELS}budgets: [{{scope: global, limit_usd: {written}, window: total}}]\n");
        let config = Config::parse("b.yaml", &text, &environment).expect(written);
        assert_eq!(config.budgets()[0].limit, shown);
    }
}

#[test]
fn in_scopes() {
    const REST: &str = "limit_usd: 1, window: total";
    for (entry, expected) in [
        (
            REST.to_owned(),
            "b.yaml:10:5: `scope` is missing in `budgets`; a budget for everything has `scope: global`",
        ),
        (
            format!("scope: keys, {REST}"),
            "b.yaml:10:13: `keys` is not a value of `scope`, which takes org, team, key, user, model, deployment, \
             provider, tag, global; did you mean `key`?",
        ),
        (
            format!("scope: customer, {REST}"),
            "b.yaml:10:13: `customer` is not a value of `scope`, which takes org, team, key, user, model, deployment, \
             provider, tag, global",
        ),
        (
            format!("scope: global, id: all, {REST}"),
            "b.yaml:10:25: a global budget has no `id`; remove the id, or say another `scope`",
        ),
        (
            format!("scope: key, id: wbe, {REST}"),
            "b.yaml:10:22: there is no key called `wbe`: this budget would hold for nobody; did you mean `web`?",
        ),
        (
            format!("scope: model, id: smrt, {REST}"),
            "b.yaml:10:24: there is no model called `smrt`: this budget would hold for nobody; did you mean `smart`?",
        ),
        (
            format!("scope: deployment, id: primery, {REST}"),
            "b.yaml:10:29: there is no deployment called `primery`: this budget would hold for nobody; did you mean \
             `primary`?",
        ),
        (
            format!("scope: provider, id: openia, {REST}"),
            "b.yaml:10:27: there is no provider called `openia`: this budget would hold for nobody; did you mean \
             `openai`?",
        ),
        (
            format!("scope: global, mode: strict, {REST}"),
            "b.yaml:10:27: `strict` is not a value of `mode`, which takes hard, soft, shadow",
        ),
    ] {
        assert_eq!(budget(&entry), expected, "{entry}");
    }
    for entry in [
        "team, id: nobody-yet",
        "org",
        "user, id: alice",
        "tag",
        "key, id: master",
    ] {
        let rest = format!("budgets: [{{scope: {entry}, {REST}}}]\n");
        assert!(parse(&rest).is_ok(), "{entry}");
    }
}

#[test]
fn in_windows() {
    const REST: &str = "scope: global, limit_usd: 1";
    for (entry, expected) in [
        (
            REST.to_owned(),
            "b.yaml:10:5: `window` is missing in `budgets`; say day, week, month, total, or for how long, such as 24h",
        ),
        (
            format!("{REST}, window: month"),
            "b.yaml:10:43: a window of a month begins at a midnight: it needs a `time_zone`; say one, such as \
             Europe/Berlin, or UTC",
        ),
        (
            format!("{REST}, window: day, time_zone: Europe/Berlim"),
            "b.yaml:10:59: there is no time zone called `Europe/Berlim`",
        ),
        (
            format!("{REST}, window: 24h, time_zone: UTC"),
            "b.yaml:10:59: a window of `24h` has no time zone; remove `time_zone`",
        ),
        (
            format!("{REST}, window: total, time_zone: UTC"),
            "b.yaml:10:61: a window of `total` has no time zone; remove `time_zone`",
        ),
        (
            format!("{REST}, window: daily, time_zone: UTC"),
            "b.yaml:10:61: a window of `daily` has no time zone; remove `time_zone`",
        ),
        (
            format!("{REST}, window: mont"),
            "b.yaml:10:43: `mont` is not a window; did you mean `month`?",
        ),
        (
            format!("{REST}, window: 0h"),
            "b.yaml:10:43: `0h` is not a window; there are day, week, month, total, and durations such as 90s, 30m, \
             24h, 7d",
        ),
        (
            format!("{REST}, window: 99999999d"),
            "b.yaml:10:43: `99999999d` is not a window; there are day, week, month, total, and durations such as 90s, \
             30m, 24h, 7d",
        ),
    ] {
        assert_eq!(budget(&entry), expected, "{entry}");
    }
}

#[test]
fn in_budgets_that_share_an_account() {
    let twice = "budgets:
  - {scope: user, limit_usd: 1, window: 24h}
  - {scope: user, limit_usd: 2, window: 24h, mode: soft}
";
    assert_eq!(
        error(twice),
        "b.yaml:11:5: two budgets are called `user/usd/86400s`; they would share one account: give one of them a `name` \
         of its own"
    );
    assert!(parse(&twice.replace("soft}", "soft, name: warning}")).is_ok());
}

#[test]
fn in_what_costs_without_a_price() {
    for (rest, expected) in [
        (
            "unpriced_model: free\n",
            "b.yaml:9:17: `free` is not a value of `unpriced_model`, which takes deny, allow",
        ),
        (
            "unpriced_model: {}\n",
            "b.yaml:9:17: `flat_usd` is missing in `unpriced_model`",
        ),
        (
            "unpriced_model: {flat_usd: -1}\n",
            "b.yaml:9:28: `flat_usd` is negative",
        ),
        (
            "unpriced_model: {flat_usd: 0.00000000001}\n",
            "b.yaml:9:28: `flat_usd` is finer than a billionth of a dollar",
        ),
        (
            "unpriced_model: {flat: 1}\n",
            "b.yaml:9:18: unknown key `flat` in `unpriced_model`",
        ),
    ] {
        assert_eq!(error(rest), expected, "{rest}");
    }
}

#[test]
fn in_the_store() {
    const ONE_OF: &str = "`store` is one of `{sqlite: PATH}`, `{redis: URL}` and `memory`";
    for (rest, expected) in [
        ("store: {}\n", format!("b.yaml:9:8: {ONE_OF}")),
        (
            "store: {sqlite: a.db, redis: 'redis://b'}\n",
            format!("b.yaml:9:8: {ONE_OF}"),
        ),
        (
            "store: postgres\n",
            format!("b.yaml:9:8: {ONE_OF}"),
        ),
        (
            "store: {sqlite: ''}\n",
            "b.yaml:9:17: `sqlite` is empty: it names a file".to_owned(),
        ),
        (
            "store: {redis: []}\n",
            "b.yaml:9:8: `redis` is empty: it names a server".to_owned(),
        ),
        (
            "store: {sqllite: a.db}\n",
            "b.yaml:9:9: unknown key `sqllite` in `store`; did you mean `sqlite`?".to_owned(),
        ),
        (
            "store: {redis: 'localhost:6379'}\n",
            "b.yaml:9:16: `redis` must be a URL such as redis://host:6379; a list of them is a Cluster; `rediss:` is \
             with TLS"
                .to_owned(),
        ),
        (
            "store: {redis: os.environ/REDIS, timeout: 0}\n",
            "b.yaml:9:43: `timeout` must be more than 0 seconds".to_owned(),
        ),
        (
            "store: {redis: os.environ/REDIS, lease: ten}\n",
            "b.yaml:9:41: `lease` must be a number of seconds, 0 or more".to_owned(),
        ),
        (
            "store: {redis: os.environ/REDIS, allotment: -1}\n",
            "b.yaml:9:45: `allotment` must be a whole number of 0 or more".to_owned(),
        ),
        (
            "store: {sqlite: a.db, timeout: 1}\n",
            "b.yaml:9:23: unknown key `timeout` in `store`".to_owned(),
        ),
    ] {
        assert_eq!(error(rest), expected, "{rest}");
    }
    let all =
        "store: {redis: os.environ/REDIS, prefix: mine, timeout: 0.1, lease: 5, allotment: 0}\n";
    assert!(parse(all).is_ok());
    // The value may hold a password, and is not shown.
    let secret = error("store: {redis: 'http://:hunter2@somewhere'}\n");
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn of_more_than_redis_can_count() {
    let budgets = |limit: &str| {
        format!("budgets:\n  - {{scope: global, {limit}, window: total, name: big}}\n")
    };
    for limit in [
        "limit_usd: 9000001",
        "limit_usd: 9000000.000000001",
        "limit_tokens: 9000000000000001",
    ] {
        let rest = budgets(limit);
        assert!(parse(&rest).is_ok(), "a file can: {limit}");
        assert_eq!(
            error(&format!("{rest}store: {{redis: os.environ/REDIS}}\n")),
            "b.yaml:10:5: the limit of budget `big` is too large for Redis: it counts exactly up to 9 million dollars, or \
             9e15 tokens or requests",
            "{limit}"
        );
    }
    let most = format!(
        "{}store: {{redis: os.environ/REDIS}}\n",
        budgets("limit_usd: 9000000")
    );
    assert!(parse(&most).is_ok());
}
