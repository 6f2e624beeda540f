//! The page on streams is true to the code: it says who goes on by a prefill.

use std::fs;

use backstop::anthropic::Anthropic;
use backstop::bedrock::{Bedrock, Settings};
use backstop::openai::{OpenAi, Server};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/streams.md");
    fs::read_to_string(path).expect("docs/streams.md")
}

/// The rows of the table: a model, its base URL if the row names one, and the way.
fn rows(page: &str) -> Vec<(&str, Option<&str>, &str)> {
    let rows = page.lines().filter_map(|line| {
        let (who, way) = line
            .strip_prefix("| `")?
            .strip_suffix(" |")?
            .split_once(" | ")?;
        let (model, rest) = who.split_once('`')?;
        let base = rest
            .strip_prefix(" at `")
            .and_then(|base| base.strip_suffix('`'));
        Some((model, base, way))
    });
    rows.collect()
}

#[tokio::test]
async fn who_goes_on_by_a_prefill() {
    let page = page();
    let rows = rows(&page);
    assert!(rows.len() > 10, "the table was found: {rows:?}");
    for (model, base, way) in rows {
        let (provider, name) = model.split_once('/').expect("provider/model");
        let takes_prefill = match provider {
            "anthropic" => Anthropic::new("key".into()).model(name).takes_prefill(),
            "bedrock" => {
                let settings = Settings::new().region("us-east-1");
                let settings = settings.credentials("key", "secret".into());
                Bedrock::new(&settings.client().await.expect("usable"), name).takes_prefill()
            }
            server => {
                let server = Server::from_name(server).expect("a known server");
                let base = base.or(server.base_url()).unwrap_or("http://localhost/v1");
                let dialect = OpenAi::at(server, Some("key".into())).model(name);
                let dialect = dialect.base_url(&base.parse().expect("a URI"));
                dialect.expect("a base URL").takes_prefill()
            }
        };
        let expected = if takes_prefill { "prefill" } else { "prompted" };
        assert_eq!(way, expected, "{model}");
    }
}
