//! What is sent: Pyroscope's `POST /ingest`.
//!
//! Two forms, since the server takes the body as the profile itself where it sees `format=pprof`, whatever the content
//! type says, and reads a form only without it:
//! - the pprof file as body, `format=pprof`;
//! - with a configuration of sample types, a form of two files, `profile` and `sample_type_config`, and no `format`.
//!
//! Source: Grafana's "Pyroscope server HTTP API", and `ingest_handler.go` of grafana/pyroscope.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use super::{Aggregation, Auth, PushOptions, SampleType};
use crate::{Capture, Part};

/// One file, ready to be sent.
pub(super) struct Request {
    /// What comes after `/ingest?`.
    pub(super) query: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

const BINARY: &str = "binary/octet-stream";
const FORM: &str = "multipart/form-data; boundary=perfwright-4f1c6f0e9d2b47a8b3a5";
const BOUNDARY: &str = "--perfwright-4f1c6f0e9d2b47a8b3a5";

impl Request {
    pub(super) fn new(options: &PushOptions, capture: &Capture, part: &Part) -> Self {
        let form = !options.sample_types.is_empty();
        let mut query = format!("name={}", encode(&name(options)));
        let (from, until) = seconds(capture);
        let _ = write!(query, "&from={from}&until={until}&spyName=perfwright");
        if !form {
            query.push_str("&format=pprof");
        }
        let (content_type, body) = match form {
            true => (FORM, form_of(&part.bytes, &options.sample_types)),
            false => (BINARY, part.bytes.clone()),
        };
        Self {
            query,
            content_type,
            body,
        }
    }
}

/// What the server reads is a pprof file, by its name.
pub(super) fn is_pprof(kind: &str) -> bool {
    [".pb", ".pb.gz", ".pprof"]
        .iter()
        .any(|ending| kind.ends_with(ending))
}

/// What a server would refuse every time, said at the start.
pub(super) fn check(options: &PushOptions) -> Result<(), String> {
    let PushOptions {
        url,
        app,
        labels,
        auth,
        tenant,
        ..
    } = options;
    let tls = url.starts_with("https://");
    let Some(host) = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
    else {
        return Err("the URL does not begin with `http://` or `https://`".to_owned());
    };
    if tls && !cfg!(feature = "push-tls") {
        return Err("HTTPS needs the feature `push-tls`".to_owned());
    }
    if host.split('/').next().is_none_or(str::is_empty) {
        return Err("the URL names no host".to_owned());
    }
    if host
        .split('/')
        .next()
        .is_some_and(|host| host.contains('@'))
    {
        return Err("the URL holds a user: give it as basic authentication".to_owned());
    }
    if host.contains(['?', '#']) || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the URL is to be that of the server alone, without query".to_owned());
    }
    if app.trim().is_empty() || app.contains(['{', '}']) || app.contains(char::is_control) {
        return Err(format!(
            "the application's name {app:?} is empty or holds `{{` or `}}`"
        ));
    }
    if let Some((label, _)) = labels.iter().find(|(label, _)| !is_label(label)) {
        return Err(format!(
            "the label {label:?} is none: letters, digits, `_` and `.`, not beginning with a digit"
        ));
    }
    let header = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match auth {
        Auth::Basic { user, .. } if user.contains(':') => {
            Err("a user of basic authentication holds a `:`".to_owned())
        }
        Auth::Bearer(token) if !header(token) || token.is_empty() => {
            Err("the token is empty or not ASCII".to_owned())
        }
        _ if tenant.as_deref().is_some_and(|tenant| !header(tenant)) => {
            Err("the tenant is not ASCII".to_owned())
        }
        _ => Ok(()),
    }
}

/// The value of the header `Authorization`.
pub(super) fn authorization(auth: &Auth) -> Option<String> {
    match auth {
        Auth::None => None,
        Auth::Basic { user, password } => Some(format!(
            "Basic {}",
            base64(format!("{user}:{password}").as_bytes())
        )),
        Auth::Bearer(token) => Some(format!("Bearer {token}")),
    }
}

fn is_label(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    name.bytes().all(known)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

/// `shop{region=eu,pod=shop-1}`.
fn name(options: &PushOptions) -> String {
    let mut name = options.app.trim().to_owned();
    name.push('{');
    for (index, (label, value)) in options.labels.iter().enumerate() {
        let value = value.trim().replace([',', '{', '}', '='], "_");
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(name, "{comma}{label}={value}");
    }
    name.push('}');
    name
}

/// Begin and end in whole seconds since 1970, the end after the begin.
fn seconds(capture: &Capture) -> (u64, u64) {
    let since = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let from = since(capture.time).as_secs();
    let until = since(capture.until());
    let until = until
        .as_secs()
        .saturating_add(u64::from(until.subsec_nanos() > 0));
    (from, until.max(from.saturating_add(1)))
}

/// Percent-encodes for a query.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// `multipart/form-data` of RFC 7578.
fn form_of(profile: &[u8], sample_types: &[SampleType]) -> Vec<u8> {
    let file = |name: &str, file: &str, content_type: &str| {
        format!(
            "{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: {content_type}\r\n\r\n"
        )
    };
    let mut body = file("profile", "profile.pprof", "application/octet-stream").into_bytes();
    body.extend_from_slice(profile);
    body.extend_from_slice(b"\r\n");
    body.extend(
        file(
            "sample_type_config",
            "sample_type_config.json",
            "application/json",
        )
        .bytes(),
    );
    body.extend(config(sample_types).bytes());
    body.extend(format!("\r\n{BOUNDARY}--\r\n").bytes());
    body
}

/// The JSON of `sample_type_config`.
fn config(sample_types: &[SampleType]) -> String {
    let mut json = String::from("{");
    for (index, sample_type) in sample_types.iter().enumerate() {
        let SampleType {
            name,
            units,
            aggregation,
            display_name,
            sampled,
        } = sample_type;
        let aggregation = match aggregation {
            Aggregation::Sum => "sum",
            Aggregation::Average => "average",
        };
        let display_name = if display_name.is_empty() {
            name
        } else {
            display_name
        };
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            json,
            "{comma}{}:{{\"units\":{},\"aggregation\":\"{aggregation}\",\"display-name\":{},\"sampled\":{sampled}}}",
            quote(name),
            quote(units),
            quote(display_name),
        );
    }
    json.push('}');
    json
}

/// A JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\x1f' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= chunk.len() {
                char::from(DIGITS[value])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn options() -> PushOptions {
        PushOptions::new("http://localhost:4040", "shop")
    }

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn query(options: &PushOptions, time: SystemTime, length: Duration) -> String {
        let part = Part::new("cpu.pb.gz", vec![1, 2, 3]);
        let capture = Capture::new(time, length, vec![part.clone()]);
        Request::new(options, &capture, &part).query
    }

    #[test]
    fn a_request_says_name_labels_and_whole_seconds() {
        let options = options().label("region", "eu,{1}").label("pod", "schön 1");
        let query = query(&options, at(1_615_709_120_999), Duration::from_secs(10));
        let name = "shop%7Bregion%3Deu__1_%2Cpod%3Dsch%C3%B6n%201%7D";
        assert_eq!(
            query,
            format!("name={name}&from=1615709120&until=1615709131&spyName=perfwright&format=pprof")
        );
    }

    #[test]
    fn a_capture_of_no_length_still_takes_time() {
        let query = query(&options(), at(5_000), Duration::ZERO);
        assert!(query.contains("&from=5&until=6&"), "{query}");
    }

    #[test]
    fn a_form_holds_profile_and_configuration_and_names_no_format() {
        let busy = SampleType::new("busy \"\n", "samples")
            .aggregation(Aggregation::Average)
            .sampled(true);
        let options = options()
            .sample_type(busy)
            .sample_type(SampleType::new("b", "bytes").display_name("B"));
        let part = Part::new("spans.pb", b"\x1f\x8bPROFILE\r\n".to_vec());
        let capture = Capture::new(at(0), Duration::from_secs(1), vec![part.clone()]);
        let request = Request::new(&options, &capture, &part);
        assert!(!request.query.contains("format"), "{}", request.query);
        assert_eq!(
            request.content_type,
            format!("multipart/form-data; boundary={}", &BOUNDARY[2..])
        );
        let body = String::from_utf8_lossy(&request.body);
        let expected = format!(
            "{BOUNDARY}\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"profile.pprof\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n\u{1f}\u{fffd}PROFILE\r\n\r\n\
             {BOUNDARY}\r\nContent-Disposition: form-data; name=\"sample_type_config\"; \
             filename=\"sample_type_config.json\"\r\nContent-Type: application/json\r\n\r\n\
             {{\"busy \\\"\\u000a\":{{\"units\":\"samples\",\"aggregation\":\"average\",\
             \"display-name\":\"busy \\\"\\u000a\",\"sampled\":true}},\
             \"b\":{{\"units\":\"bytes\",\"aggregation\":\"sum\",\"display-name\":\"B\",\"sampled\":false}}}}\r\n\
             {BOUNDARY}--\r\n"
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        // The test vectors of RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_no_server_takes_is_said_at_the_start() {
        let wrong = |options: PushOptions| check(&options).unwrap_err();
        for (url, word) in [
            ("localhost:4040", "begin"),
            ("http://", "host"),
            ("http://me:secret@localhost", "basic"),
            ("http://localhost?x=1", "query"),
            ("http://local host", "query"),
        ] {
            let error = wrong(PushOptions::new(url, "shop"));
            assert!(
                error.contains(word) && !error.contains("secret"),
                "{url}: {error}"
            );
        }
        assert!(wrong(PushOptions::new("http://localhost", "a{b}")).contains("a{b}"));
        assert!(wrong(options().label("1a", "b")).contains("1a"));
        assert!(wrong(options().bearer("a\nb")).contains("token"));
        assert!(wrong(options().tenant("a\r\nb")).contains("tenant"));
        let tls = check(&PushOptions::new("https://localhost", "shop"));
        assert_eq!(tls.is_ok(), cfg!(feature = "push-tls"));
    }
}
