//! The browser against small pages of its own.

use std::fs;
use std::path::Path;

use serde_json::json;
use testkit::{Answer, Chromium, Receiver, key};

/// As strict as the console's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'";
const FORM: &str = r##"
    <h1>Sign in</h1>
    <form action="/welcome">
        <p><label for="name">Your name</label> <input id="name" name="name" value="nobody" autofocus></p>
        <p><label>Colour <select name="colour"><option>Red</option><option>Dark  blue</option></select></label></p>
        <p><label><input type="checkbox" name="stay"> Stay signed in <span aria-hidden="true">*</span></label></p>
        <p><button>Go on</button> <a href="/other">Somewhere else</a></p>
    </form>
    <button id="ask">Ask</button> <button id="late" disabled>Late</button> <p id="said"></p>
    <dialog><h2>Sure?</h2><button>Ask</button><button id="close">Go on</button></dialog>"##;
const SCRIPT: &str = r##"
    const said = document.querySelector("#said");
    const late = document.querySelector("#late");
    document.querySelector("#ask").onclick = () => { said.textContent = "confirmed: " + confirm("Really?"); };
    late.onclick = () => document.querySelector("dialog").showModal();
    document.querySelector("#close").onclick = () => document.querySelector("dialog").remove();
    setTimeout(() => { late.disabled = false; }, 150);
    document.querySelector("h1").dataset.script = "ran";
"##;

fn html(title: &str, body: &str) -> Answer {
    let page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title><link rel=icon href='data:,'>\
         <link rel=stylesheet href=/style.css></head><body><main>{body}</main></body></html>"
    );
    Answer::status(200).header("content-type", "text/html").body(page)
}

/// A site whose pages have this in them.
async fn site(pages: &[(&str, &str)]) -> Receiver {
    let receiver = Receiver::start().await;
    let script = Answer::status(200).header("content-type", "text/javascript").body(SCRIPT);
    receiver.answer_always("/script.js", script);
    receiver.answer_always("/style.css", Answer::status(200).header("content-type", "text/css"));
    for (path, body) in pages {
        let page = html(path, body).header("content-security-policy", POLICY);
        receiver.answer_always(path, page.header("set-cookie", "seen=yes; HttpOnly"));
    }
    receiver
}

#[tokio::test]
async fn a_person_fills_in_a_form_and_goes_about() {
    let form = format!("{FORM}<script src=/script.js></script>");
    let site = site(&[("/", &form), ("/welcome", "<h1>Welcome,\n friend</h1>"), ("/other", "Nothing")]).await;
    let browser = Chromium::start().await;
    browser.goto(&site.url("/")).await;

    browser.press("Late").await;
    browser.press("Go on").await;
    browser.wait_until_gone("dialog").await;
    browser.press("Ask").await;
    assert_eq!(browser.accept_alert().await, "Really?");
    browser.wait_for_text("confirmed: true").await;

    browser.fill("Your name", "Ann & Bob").await;
    browser.choose("Colour", "Dark blue").await;
    browser.tick("Stay signed in").await;
    browser.tick("Stay signed in").await;
    assert!(browser.field("Stay signed in").await.is_selected().await);
    assert_eq!(browser.field("Your name").await.property("value").await, "Ann & Bob");
    assert_eq!(browser.find("#name").await.attribute("value").await.as_deref(), Some("nobody"));
    browser.press("Go on").await;
    browser.wait_for_text("Welcome, friend").await;
    browser.wait_for_url_part("name=Ann+%26+Bob&colour=Dark+blue&stay=on").await;
    assert_eq!(browser.title().await, "/welcome");
    assert!(!browser.exists("form").await);

    browser.back().await;
    browser.follow("Somewhere else").await;
    browser.wait_for_text("Nothing").await;
    let cookies = browser.cookies().await;
    assert_eq!((&cookies[0]["name"], &cookies[0]["httpOnly"]), (&json!("seen"), &json!(true)));
    browser.delete_cookies().await;
    assert_eq!(browser.cookies().await.len(), 0);
    assert_eq!(browser.problems().await, [""; 0]);
}

#[tokio::test]
async fn keys_walk_through_a_page_and_scripts_can_be_off() {
    let form = format!("{FORM}<script src=/script.js></script>");
    let site = site(&[("/", &form), ("/welcome", "<h1>Welcome</h1>")]).await;
    let browser = Chromium::start().await;
    browser.without_javascript(true).await;
    browser.goto(&site.url("/")).await;
    assert_eq!(browser.find("h1").await.attribute("data-script").await, None);
    assert_eq!(browser.active_element().await.attribute("id").await.as_deref(), Some("name"));
    browser.keys(&format!("{}{}", key::TAB, key::TAB)).await;
    assert_eq!(browser.active_element().await.attribute("name").await.as_deref(), Some("stay"));
    browser.keys(key::SPACE).await;
    browser.keys(&format!("{}{}{}", key::SHIFT, key::TAB, key::TAB)).await;
    browser.keys(&format!("{}x", key::END)).await;
    browser.keys(key::ENTER).await;
    browser.wait_for_url_part("/welcome?name=nobodyx&colour=Red&stay=on").await;

    browser.without_javascript(false).await;
    browser.goto(&site.url("/")).await;
    assert_eq!(browser.find("h1").await.attribute("data-script").await.as_deref(), Some("ran"));
    browser.new_window().await;
    assert_eq!(browser.url().await, "about:blank");
    browser.close_window().await;
    assert_eq!(browser.url().await, site.url("/"));
}

#[tokio::test]
async fn width_darkness_and_pictures_are_what_was_asked_for() {
    let tall = "<h1>Tall</h1><p>".to_owned() + &"<br>line".repeat(100) + "</p>";
    let site = site(&[("/", &tall), ("/second", &tall)]).await;
    let browser = Chromium::start().await;
    let media = "return arguments[0].map((query) => matchMedia(query).matches)";
    let queries = [json!(["(width: 390px)", "(prefers-color-scheme: dark)"])];
    browser.size(390, 800).await;
    browser.dark(true).await;
    for path in ["/", "/second"] {
        browser.goto(&site.url(path)).await;
        assert_eq!(browser.script(media, &queries).await, json!([true, true]), "{path}");
    }
    let picture = browser.screenshot().await;
    // The size stands at the beginning of a PNG.
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((&picture[1..4], number(16)), (&b"PNG"[..], 390));
    assert!(number(20) > 1_500, "the whole page, not {} pixels", number(20));

    browser.size(1_280, 800).await;
    browser.dark(false).await;
    assert_eq!(browser.script(media, &queries).await, json!([false, false]));
    let answer = browser.script_async("arguments[1](arguments[0] + 1)", &[json!(1)]).await;
    assert_eq!(answer, 2);
}

#[tokio::test]
async fn barriers_complaints_and_jumps_are_found() {
    let bad = "<h1>Bad</h1><img src=/missing.png width=9 height=9><script>document.title = 'no'</script>";
    let site = site(&[("/good", "<h1>Good</h1><p>Words.</p>"), ("/bad", bad)]).await;
    site.answer_always("/missing.png", Answer::status(404));
    let jumps = "<p>One</p><h1>Two</h1><script>\
        requestAnimationFrame(() => requestAnimationFrame(() => { \
            document.querySelector('p').style.height = '300px'; document.title = 'jumped'; }))</script>";
    site.answer_always("/jumps", html("/jumps", jumps));
    let browser = Chromium::start().await;

    browser.goto(&site.url("/good")).await;
    assert_eq!(browser.axe().await, [""; 0]);
    assert_eq!(browser.axe().await, [""; 0]);
    assert!(browser.layout_shift().await < 0.001);
    assert_eq!(browser.problems().await, [""; 0]);

    browser.goto(&site.url("/bad")).await;
    let barriers = browser.axe().await;
    assert_eq!(barriers.len(), 1, "{barriers:#?}");
    assert!(
        barriers[0].starts_with("image-alt: Images must have alternative text — img — Fix any"),
        "{barriers:?}"
    );
    let problems = browser.problems().await;
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("Content Security Policy")), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("missing.png")), "{problems:#?}");
    assert_eq!(browser.problems().await, [""; 0]);

    browser.goto(&site.url("/jumps")).await;
    let jumped = "return new Promise((done) => { const look = () => \
        document.title === 'jumped' ? done() : requestAnimationFrame(look); look(); })";
    browser.script(jumped, &[]).await;
    assert!(browser.layout_shift().await > 0.01);
}

#[tokio::test]
async fn a_dropped_browser_is_gone_with_all_its_processes_and_files() {
    let browser = Chromium::start().await;
    let family = family(browser.pid());
    assert!(family.len() > 3, "chromedriver, Chromium and its parts: {family:?}");
    let folder = profile(&family).expect("the profile stands in Chromium's command line");
    assert!(Path::new(&folder).exists());
    drop(browser);
    let left: Vec<_> = family.iter().filter(|pid| is_running(**pid)).collect();
    assert!(left.is_empty(), "still running: {left:?}");
    assert!(!Path::new(&folder).exists());
}

#[tokio::test]
#[should_panic(expected = "a button that is not there")]
async fn what_is_not_found_is_told_with_what_the_page_shows() {
    let site = site(&[("/", "<p>Only this: a button that is not there</p>")]).await;
    let browser = Chromium::start().await;
    browser.goto(&site.url("/")).await;
    browser.find("button[").await;
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    // A child is listed with the thread that started it.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> =
        children.flat_map(|all| all.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    let below = children.into_iter().flat_map(family);
    [pid].into_iter().chain(below).collect()
}

/// The folder of the browser's profile.
fn profile(family: &[u32]) -> Option<String> {
    let lines = family.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok());
    lines.into_iter().find_map(|line| {
        line.split('\0').find_map(|flag| flag.strip_prefix("--user-data-dir=")).map(str::to_owned)
    })
}

/// One that has ended, and whose new parent has not noticed yet, does not run.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
