//! The requests of a load and how often each is sent.

use serde::Deserialize;

use super::random::Random;
use super::template::Template;

/// A kind of request as Cargo.toml declares it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestSpec {
    /// What the report calls it.
    pub(crate) name: String,
    /// Its share is this over the sum of all weights.
    #[serde(default = "one")]
    pub(crate) weight: u32,
    #[serde(default = "get")]
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    #[serde(default = "json")]
    pub(crate) content_type: String,
}

fn one() -> u32 {
    1
}

fn get() -> String {
    "GET".to_owned()
}

fn json() -> String {
    "application/json".to_owned()
}

/// The kinds of requests, ready to be drawn from.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    kinds: Vec<Kind>,
    weight_total: u32,
}

#[derive(Debug, Clone)]
struct Kind {
    name: String,
    weight: u32,
    method: hyper::Method,
    path: Template,
    body: Option<Template>,
    content_type: String,
}

/// One request to send.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    /// Which of [`Mix::names`] it is.
    pub(crate) kind: usize,
    pub(crate) method: hyper::Method,
    pub(crate) path: String,
    pub(crate) body: Option<(String, String)>,
}

impl Mix {
    /// Checks every kind; an error names the kind and says what to change.
    pub(crate) fn new(specs: &[RequestSpec]) -> Result<Mix, String> {
        let kinds = specs
            .iter()
            .map(|spec| {
                Kind::new(spec).map_err(|error| format!("request \"{}\": {error}", spec.name))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let weight_total = kinds
            .iter()
            .try_fold(0u32, |sum, kind| sum.checked_add(kind.weight))
            .ok_or("the weights add up to more than a 32-bit number")?;
        if weight_total == 0 {
            return Err("every request has weight 0: give one a weight".to_owned());
        }
        Ok(Mix {
            kinds,
            weight_total,
        })
    }

    /// The names of the kinds.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.kinds.iter().map(|kind| kind.name.as_str())
    }

    /// The next request, by weight.
    pub(crate) fn draw(&self, random: &mut Random) -> Draw {
        let mut ticket = random.index(self.weight_total as usize) as u32;
        let mut kind = 0;
        while ticket >= self.kinds[kind].weight {
            ticket -= self.kinds[kind].weight;
            kind += 1;
        }
        let chosen = &self.kinds[kind];
        Draw {
            kind,
            method: chosen.method.clone(),
            path: chosen.path.render(random),
            body: chosen
                .body
                .as_ref()
                .map(|body| (chosen.content_type.clone(), body.render(random))),
        }
    }
}

impl Kind {
    fn new(spec: &RequestSpec) -> Result<Kind, String> {
        let kind = Kind {
            name: spec.name.clone(),
            weight: spec.weight,
            method: spec
                .method
                .to_ascii_uppercase()
                .parse()
                .map_err(|_| format!("`{}` is no HTTP method", spec.method))?,
            path: Template::parse(&spec.path)?,
            body: spec.body.as_deref().map(Template::parse).transpose()?,
            content_type: spec.content_type.clone(),
        };
        kind.check()?;
        Ok(kind)
    }

    /// A path that is no URI would fail each of its requests; better to say so before the build.
    fn check(&self) -> Result<(), String> {
        let path = self.path.all_parts();
        let valid = path.starts_with('/') && path.parse::<hyper::Uri>().is_ok();
        if !valid {
            return Err(format!(
                "`{path}` is no path: it must begin with `/`, and spaces are written %20"
            ));
        }
        if hyper::header::HeaderValue::from_str(&self.content_type).is_err() {
            return Err(format!("`{}` is no content type", self.content_type));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, weight: u32, path: &str) -> RequestSpec {
        serde_json::from_value(serde_json::json!({"name": name, "weight": weight, "path": path}))
            .unwrap()
    }

    #[test]
    fn kinds_are_drawn_by_weight() {
        let specs = [
            spec("a", 5, "/a"),
            spec("never", 0, "/n"),
            spec("b", 15, "/b/{1..9}"),
        ];
        let mix = Mix::new(&specs).unwrap();
        assert_eq!(mix.names().collect::<Vec<_>>(), ["a", "never", "b"]);
        let mut random = Random::new(1);
        let mut counts = [0u32; 3];
        for _ in 0..10_000 {
            counts[mix.draw(&mut random).kind] += 1;
        }
        assert_eq!(counts[1], 0);
        // 5 standard deviations of a binomial with p = 1/4.
        let deviation = (10_000.0_f64 * 0.25 * 0.75).sqrt();
        assert!(
            (f64::from(counts[0]) - 2_500.0).abs() < 5.0 * deviation,
            "{counts:?}"
        );
    }

    #[test]
    fn a_request_is_what_was_declared() {
        let spec: RequestSpec = serde_json::from_value(serde_json::json!({
            "name": "checkout", "method": "post", "path": "/checkout", "body": r#"{"n": {3..3}}"#
        }))
        .unwrap();
        let draw = Mix::new(&[spec]).unwrap().draw(&mut Random::new(0));
        assert_eq!(
            (draw.method.as_str(), draw.path.as_str()),
            ("POST", "/checkout")
        );
        assert_eq!(
            draw.body,
            Some(("application/json".into(), r#"{"n": 3}"#.into()))
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_the_name_of_the_request() {
        let cases = [
            (
                spec("x", 1, "products"),
                "request \"x\": `products` is no path",
            ),
            (spec("y", 1, "/a b"), "request \"y\": `/a b` is no path"),
            (
                spec("z", 1, "/{2..1}"),
                "request \"z\": {2..1} holds no number",
            ),
            (spec("w", 0, "/"), "every request has weight 0"),
            (
                RequestSpec {
                    method: "G T".into(),
                    ..spec("m", 1, "/")
                },
                "`G T` is no HTTP method",
            ),
            (
                RequestSpec {
                    content_type: "a\nb".into(),
                    ..spec("c", 1, "/")
                },
                "is no content type",
            ),
        ];
        for (spec, expected) in cases {
            let error = Mix::new(&[spec]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
