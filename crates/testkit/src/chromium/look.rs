//! How the page is looked at: Chromium's own debugging protocol, for what WebDriver cannot say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Chromium;

impl Chromium {
    /// A command of Chromium's debugging protocol (<https://chromedevtools.github.io/devtools-protocol/>), to this tab.
    pub async fn cdp(&self, command: &str, params: Value) -> Value {
        let answer =
            self.session.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
        self.session.must(command, answer).await
    }

    /// The page's size in pixels of CSS, from now on in this tab; a window could not be as narrow as a telephone (390).
    /// Bars for scrolling take no room, as on a telephone.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
        self.cdp("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
    }

    /// Whether the visitor prefers dark colours, from now on in this tab.
    pub async fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// Whether pages run no scripts of their own, from the next page on in this tab. [`Chromium::script`] and all that
    /// looks at the page work on.
    pub async fn without_javascript(&self, without: bool) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": without })).await;
    }

    /// A picture (PNG) of the whole page, however long it is.
    pub async fn screenshot(&self) -> Vec<u8> {
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let page = &metrics["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": page["width"], "height": page["height"], "scale": 1 });
        let how = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.cdp("Page.captureScreenshot", how).await;
        let data = picture["data"].as_str().expect("a picture");
        STANDARD.decode(data).expect("base64")
    }
}
