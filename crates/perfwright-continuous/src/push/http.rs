//! One try to send, and what its outcome means.

use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::PushOptions;
use super::request::{Request, authorization};
use crate::name::days;

pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    /// Headers that every request has.
    headers: Vec<(&'static str, String)>,
}

/// What became of one try.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The server took it.
    Sent,
    /// The server will not take it, however often it is asked.
    Refused(String),
    /// It may be better later.
    Away {
        error: String,
        retry_after: Option<Duration>,
    },
}

/// As long as a server may tell us to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// As much of an answer's text as an error quotes, in bytes.
const QUOTED: u64 = 200;

impl Client {
    pub(super) fn new(options: &PushOptions) -> Result<Self, String> {
        let proxy = options.proxy.as_deref().map(ureq::Proxy::new).transpose();
        let proxy = proxy.map_err(|error| format!("the proxy: {error}"))?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            // A redirect would take the token elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(concat!("perfwright/", env!("CARGO_PKG_VERSION")))
            .build();
        let mut headers = Vec::new();
        headers.extend(authorization(&options.auth).map(|value| ("Authorization", value)));
        headers.extend(
            options
                .tenant
                .clone()
                .map(|tenant| ("X-Scope-OrgID", tenant)),
        );
        let url = format!("{}/ingest", options.url.trim_end_matches('/'));
        Ok(Self {
            agent: config.into(),
            url,
            headers,
        })
    }

    pub(super) fn send(&self, request: &Request) -> Outcome {
        let mut post = self.agent.post(format!("{}?{}", self.url, request.query));
        post = post.header("Content-Type", request.content_type);
        for (name, value) in &self.headers {
            post = post.header(*name, value);
        }
        match post.send(&request.body) {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let retry_after = answer
                    .headers()
                    .get("Retry-After")
                    .and_then(|value| value.to_str().ok());
                let retry_after = retry_after.and_then(|value| wait_of(value, SystemTime::now()));
                let mut text = Vec::new();
                // The rest is not needed, nor is the text if it cannot be read.
                let _ = answer
                    .body_mut()
                    .as_reader()
                    .take(QUOTED)
                    .read_to_end(&mut text);
                judge(status, &String::from_utf8_lossy(&text), retry_after)
            }
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => {
                Outcome::Refused(error.to_string())
            }
            Err(error) => Outcome::Away {
                error: error.to_string(),
                retry_after: None,
            },
        }
    }
}

fn judge(status: u16, text: &str, retry_after: Option<Duration>) -> Outcome {
    let error = format!("the server answered {status}: {}", text.trim());
    match status {
        200..=299 => Outcome::Sent,
        408 | 429 | 500..=599 => Outcome::Away { error, retry_after },
        _ => Outcome::Refused(error),
    }
}

/// The header `Retry-After` of RFC 9110: seconds or a date.
fn wait_of(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date(value)?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form of dates that RFC 9110 has servers send.
fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let words: Vec<_> = text.split([' ', ':']).collect();
    let [_, day, month, year, hours, minutes, seconds, "GMT"] = words[..] else {
        return None;
    };
    let index = MONTHS
        .find(month)
        .filter(|index| month.len() == 3 && index % 3 == 0)?;
    let number = |text: &str| text.parse().ok().filter(|&number: &u64| number < 10_000);
    let days = days(number(year)?, index as u64 / 3 + 1, number(day)?)?;
    let seconds = days * 86_400 + number(hours)? * 3_600 + number(minutes)? * 60 + number(seconds)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // The example date of RFC 9110, section 5.6.7: 784111777 seconds after 1970.
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 100);
        let seconds = |value| wait_of(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(100));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:47:37 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 2094 08:49:37 GMT"), Some(3_600));
        assert_eq!(seconds("99999999999"), Some(3_600));
        for wrong in [
            "",
            "soon",
            "-1",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "1.5",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_may_be_better_later_is_tried_again() {
        for status in 100..600 {
            let outcome = judge(status, "", None);
            let fits = match status {
                200..=299 => matches!(outcome, Outcome::Sent),
                408 | 429 | 500.. => matches!(outcome, Outcome::Away { .. }),
                _ => matches!(outcome, Outcome::Refused(_)),
            };
            assert!(fits, "{status}: {outcome:?}");
        }
    }
}
