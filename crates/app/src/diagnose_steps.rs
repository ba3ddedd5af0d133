//! The steps of a request to an endpoint, each with what was found: up to the first one that fails. Pure.

use crate::check::{Unmade, days_left, milliseconds, not_reached, told};
use crate::diagnose::{Finding, Grade};
use domain::clock::Timestamp;
use domain::health::SLOW_MS;
use domain::notice::CERTIFICATE_EXPIRES_DAYS;
use egress::{Doubt, Probed, Response, SendError, Step, TlsDetails};
use std::net::SocketAddr;
use std::time::Duration;

/// Addresses of a name that are told.
const ADDRESSES_TOLD: usize = 6;

/// What each step found.
pub(crate) fn steps(probed: &Probed, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let last = probed.steps.len().saturating_sub(1);
    for (index, (step, took)) in probed.steps.iter().enumerate() {
        match &probed.outcome {
            Err(error) if index == last => findings.push(failed(*step, error, probed.doubt.as_ref())),
            outcome => findings.push(passed(*step, probed, (outcome.as_ref().ok(), *took))),
        }
        if *step == Step::Tls {
            findings.extend(probed.tls.as_ref().map(|tls| certificate(tls, now)));
        }
    }
    findings
}

/// Why nothing was sent.
pub(crate) fn unmade(why: &Unmade) -> Finding {
    let (grade, advice) = match why {
        Unmade::Canceled => (
            Grade::Warning,
            "Let it pass events of the type `posthaste.ping`, or try one of its own with …/simulate.",
        ),
        Unmade::Shape(_) => (
            Grade::Problem,
            "Mend its URL, template or transformation: …/simulate shows what comes of a change before it is saved.",
        ),
        Unmade::Credentials(_) => {
            (Grade::Problem, "Mend its `auth` or its certificates: no request can be made without.")
        }
    };
    Finding::new("request", grade, format!("Not sent: {why}."), advice)
}

/// What to do about an answer with this status.
pub(crate) const fn advice_on(status: u16) -> &'static str {
    match status {
        200..300 => "",
        300..400 => "Set the URL that the redirect leads to.",
        401 | 403 => "Compare its authentication (`auth`) with what the receiver expects.",
        404 | 410 => "Set the URL of a path that exists, then enable the endpoint if it was disabled.",
        429 => "Set `throttleRate`, or raise the limit on the receiver's side.",
        400..500 => {
            "Compare method, content type and body (…/simulate shows the very request) with what the receiver expects."
        }
        _ => "Look into the receiver's log at this moment; the events are tried again.",
    }
}

fn passed(step: Step, probed: &Probed, (answer, took): (Option<&Response>, Duration)) -> Finding {
    let ms = milliseconds(took);
    let all = || list(&probed.addresses);
    let good = |about, text: String| Finding::new(about, Grade::Good, text, "");
    match step {
        Step::Dns => good("dns", format!("Its name resolves to {}. It took {ms} ms.", all())),
        Step::Policy => good("policy", format!("Requests may go to {}.", all())),
        Step::Tcp => connected(probed, ms),
        Step::Tls => {
            let (version, cipher) =
                probed.tls.as_ref().map_or(("TLS", ""), |tls| (&*tls.version, &*tls.cipher));
            good(
                "tls",
                format!("It speaks {version} ({cipher}), and its certificate is believed. It took {ms} ms."),
            )
        }
        Step::Http => answered(answer.map_or(0, |answer| answer.status), ms),
    }
}

fn connected(probed: &Probed, ms: u64) -> Finding {
    let Some(address) = probed.address else {
        return Finding::new("tcp", Grade::Good, format!("It took the connection after {ms} ms."), "");
    };
    let before = probed.addresses.iter().position(|one| *one == address).unwrap_or_default();
    if before == 0 {
        return Finding::new("tcp", Grade::Good, format!("{address} took the connection after {ms} ms."), "");
    }
    let text =
        format!("{address} took the connection after {ms} ms; {before} of its addresses before did not.");
    let advice = "Look whether servers run at its other addresses, and can be reached from here: each new connection loses time there.";
    Finding::new("tcp", Grade::Warning, text, advice)
}

fn answered(status: u16, ms: u64) -> Finding {
    let text = format!("{} It took {ms} ms.", told(status));
    if !(200..300).contains(&status) {
        return Finding::new("request", Grade::Problem, text, advice_on(status));
    }
    if ms > SLOW_MS.into() {
        let advice =
            "Let it answer first and work afterwards: slow endpoints have less of the requests in flight.";
        return Finding::new("request", Grade::Warning, text, advice);
    }
    Finding::new("request", Grade::Good, text, "")
}

fn failed(step: Step, error: &SendError, doubt: Option<&Doubt>) -> Finding {
    let is_late = matches!(error, SendError::TimedOut(_));
    let (about, advice) = match step {
        Step::Dns if is_late => {
            ("dns", "Look whether the servers of its name answer everybody, and in time.")
        }
        Step::Dns => {
            ("dns", "Look whether the name is spelt right, and has an address that everybody can look up.")
        }
        Step::Policy => (
            "policy",
            "Set the URL of a public server over https. Who runs this server can open other networks (POSTHASTE_EGRESS_ALLOW) and plain http (POSTHASTE_HTTPS_ONLY).",
        ),
        Step::Tcp if is_late => {
            ("tcp", "Look whether a firewall drops what comes from here, and whether the address is right.")
        }
        Step::Tcp => ("tcp", "Look whether the server runs and listens at this port."),
        Step::Tls => ("tls", of_tls(doubt, is_late)),
        Step::Http if is_late => (
            "request",
            "Let it answer first and work afterwards, or give it longer (`timeoutSeconds`, 30 at most).",
        ),
        Step::Http => (
            "request",
            "Look into the receiver's log at this moment: it took the connection and gave no answer. One that asks who we are needs a certificate (`auth` with the type mtls).",
        ),
    };
    let mut text = not_reached(error);
    text.push_str(&more(doubt));
    Finding::new(about, Grade::Problem, text, advice)
}

const fn of_tls(doubt: Option<&Doubt>, is_late: bool) -> &'static str {
    match doubt {
        Some(Doubt::Chain) => {
            "Let the server send its intermediate certificates too; one of your own authority is believed when that stands in `certificateAuthority`."
        }
        Some(Doubt::Expired(_)) => {
            "Renew the certificate, and look whether the server has loaded the new one."
        }
        Some(Doubt::NotYet(_)) => "Look whether the server's clock was right when the certificate was made.",
        Some(Doubt::Name(_)) => "Set a URL with a name of the certificate, or get one for the URL's name.",
        Some(Doubt::Other) => "Get a certificate that browsers believe.",
        None if is_late => "Look whether this port speaks TLS, and whether something on the way holds it up.",
        None => {
            "Look whether this port speaks TLS 1.2 or 1.3, and HTTP/1.1 over it: plain http mostly has another port."
        }
    }
}

/// What the certificate itself says about why it is not believed.
fn more(doubt: Option<&Doubt>) -> String {
    let at = |seconds: i64| Timestamp::from_seconds(seconds);
    match doubt {
        Some(Doubt::Expired(Some(end))) => format!(" It was valid until {}.", at(*end)),
        Some(Doubt::NotYet(Some(start))) => format!(" It is valid from {} on.", at(*start)),
        Some(Doubt::Name(names)) if !names.is_empty() => {
            let told: Vec<_> = names.iter().take(ADDRESSES_TOLD).map(String::as_str).collect();
            format!(" It is for {}.", told.join(", "))
        }
        _ => String::new(),
    }
}

fn certificate(tls: &TlsDetails, now: Timestamp) -> Finding {
    let days = days_left(tls, now);
    let (grade, advice) = match days {
        ..0 => (Grade::Problem, "Renew the certificate."),
        0..CERTIFICATE_EXPIRES_DAYS => (Grade::Warning, "Renew the certificate before then."),
        _ => (Grade::Good, ""),
    };
    let text =
        format!("Its certificate is for {}, from {}, and expires in {days} days.", tls.subject, tls.issuer);
    Finding::new("certificate", grade, text, advice)
}

fn list(addresses: &[SocketAddr]) -> String {
    let mut told: Vec<_> =
        addresses.iter().take(ADDRESSES_TOLD).map(|address| address.ip().to_string()).collect();
    let more = addresses.len().saturating_sub(ADDRESSES_TOLD);
    if more > 0 {
        told.push(format!("{more} more"));
    }
    match told.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => told.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn answer(status: u16) -> Result<Response, SendError> {
        Ok(Response { status, headers: HeaderMap::new(), body: Bytes::new(), truncated: false })
    }

    /// A look that came as far as its last step, after 7 ms each.
    fn probed(last: Step, outcome: Result<Response, SendError>) -> Probed {
        let all = [Step::Dns, Step::Policy, Step::Tcp, Step::Tls, Step::Http];
        let begun = all.into_iter().filter(|step| *step <= last);
        let tls = TlsDetails {
            version: "TLSv1.3".into(),
            cipher: "SUITE".into(),
            subject: "CN=hook.example".into(),
            issuer: "CN=authority".into(),
            expires_at: NOW.seconds() + 71 * 86_400,
        };
        let addresses = vec!["203.0.113.7:443".parse().unwrap(), "203.0.113.8:443".parse().unwrap()];
        Probed {
            outcome,
            steps: begun.map(|step| (step, Duration::from_millis(7))).collect(),
            address: (last > Step::Tcp).then(|| addresses[0]),
            addresses,
            tls: (last > Step::Tls).then_some(tls),
            doubt: None,
        }
    }

    fn told(probed: &Probed) -> Vec<String> {
        steps(probed, NOW).into_iter().map(|f| format!("{} {:?}: {}", f.about, f.grade, f.text)).collect()
    }

    #[test]
    fn each_step_that_was_passed_is_told_with_what_it_found() {
        let expected = [
            "dns Good: Its name resolves to 203.0.113.7 and 203.0.113.8. It took 7 ms.",
            "policy Good: Requests may go to 203.0.113.7 and 203.0.113.8.",
            "tcp Good: 203.0.113.7:443 took the connection after 7 ms.",
            "tls Good: It speaks TLSv1.3 (SUITE), and its certificate is believed. It took 7 ms.",
            "certificate Good: Its certificate is for CN=hook.example, from CN=authority, and expires in 71 days.",
            "request Good: It works: the endpoint took the event. It took 7 ms.",
        ];
        let found = probed(Step::Http, answer(200));
        assert_eq!(told(&found), expected);
        assert!(steps(&found, NOW).iter().all(|finding| finding.advice.is_none()));
    }

    #[test]
    fn the_step_that_failed_is_the_last_one_and_says_what_to_do() {
        let unreachable = || Err(SendError::Unreachable("why".into()));
        let late = || Err(SendError::TimedOut("why".into()));
        let blocked = Err(SendError::Blocked("why".into()));
        let table = [
            (Step::Dns, unreachable(), "dns Problem: Not reached: why.", "spelt right"),
            (Step::Dns, late(), "dns Problem: Not reached: why.", "in time"),
            (Step::Policy, blocked, "policy Problem: Not allowed: why.", "POSTHASTE_EGRESS_ALLOW"),
            (Step::Tcp, unreachable(), "tcp Problem: Not reached: why.", "listens at this port"),
            (Step::Tcp, late(), "tcp Problem: Not reached: why.", "firewall"),
            (Step::Tls, unreachable(), "tls Problem: Not reached: why.", "TLS 1.2"),
            (Step::Tls, late(), "tls Problem: Not reached: why.", "holds it up"),
            (Step::Http, unreachable(), "request Problem: Not reached: why.", "gave no answer"),
            (Step::Http, late(), "request Problem: Not reached: why.", "timeoutSeconds"),
        ];
        for (step, outcome, text, advice) in table {
            let found = probed(step, outcome);
            let told = told(&found);
            assert_eq!(told.last().map(String::as_str), Some(text));
            let extra = usize::from(step > Step::Tls);
            assert_eq!(told.len(), found.steps.len() + extra, "{told:?}");
            assert!(told[..told.len() - 1].iter().all(|one| one.contains(" Good: ")), "{told:?}");
            let last = steps(&found, NOW).pop().and_then(|finding| finding.advice).unwrap();
            assert!(last.contains(advice), "{last}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_believed_is_told_with_what_it_says_itself() {
        let table = [
            (Doubt::Chain, "Not reached: why.", "intermediate"),
            (Doubt::Expired(Some(0)), "Not reached: why. It was valid until 1970-01-01T00:00:00Z.", "Renew"),
            (Doubt::NotYet(Some(0)), "Not reached: why. It is valid from 1970-01-01T00:00:00Z on.", "clock"),
            (
                Doubt::Name(vec!["a.b".into(), "*.c".into()]),
                "Not reached: why. It is for a.b, *.c.",
                "Set a URL",
            ),
            (Doubt::Other, "Not reached: why.", "browsers"),
        ];
        for (doubt, text, advice) in table {
            let mut found = probed(Step::Tls, Err(SendError::Certificate("why".into())));
            found.doubt = Some(doubt);
            let last = steps(&found, NOW).pop().unwrap();
            assert_eq!((last.about, last.grade, &*last.text), ("tls", Grade::Problem, text));
            assert!(last.advice.as_ref().unwrap().contains(advice), "{last:?}");
        }
    }

    #[test]
    fn what_works_and_costs_something_is_a_warning() {
        let mut slow = probed(Step::Http, answer(204));
        slow.steps.last_mut().unwrap().1 = Duration::from_millis(2_001);
        slow.address = slow.addresses.last().copied();
        slow.tls.as_mut().unwrap().expires_at = NOW.seconds() + 13 * 86_400;
        let warnings: Vec<_> =
            told(&slow).into_iter().filter(|finding| finding.contains(" Warning: ")).collect();
        assert_eq!(
            warnings,
            [
                "tcp Warning: 203.0.113.8:443 took the connection after 7 ms; 1 of its addresses before did not.",
                "certificate Warning: Its certificate is for CN=hook.example, from CN=authority, and expires in 13 days.",
                "request Warning: It works: the endpoint took the event. It took 2001 ms.",
            ]
        );
    }

    #[test]
    fn an_answer_that_is_no_success_is_a_problem_with_its_own_advice() {
        for (status, advice) in [
            (302, "redirect"),
            (401, "auth"),
            (404, "path"),
            (429, "throttleRate"),
            (422, "body"),
            (500, "log"),
        ] {
            let last = steps(&probed(Step::Http, answer(status)), NOW).pop().unwrap();
            assert_eq!((last.about, last.grade), ("request", Grade::Problem));
            assert!(last.advice.as_ref().unwrap().contains(advice), "{status}: {last:?}");
        }
    }
}
