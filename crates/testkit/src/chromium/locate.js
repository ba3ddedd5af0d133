// The first element that is shown and that a person would know by these words; null when there is none.
// The body of a function: kind, wanted, root (an element, or null for the whole page).
const [kind, wanted, root] = arguments;

const shown = (element) => element.checkVisibility({ visibilityProperty: true });
const squeeze = (text) => (text ?? "").replace(/\s+/g, " ").trim();

// The words of an element without the values of the fields that it holds; without decoration too, if so told.
const words = (element, left_out) => {
    let text = "";
    for (const node of element.childNodes) {
        if (node.nodeType === Node.TEXT_NODE) text += node.data;
        else if (node.nodeType === Node.ELEMENT_NODE && !node.matches(left_out)) text += words(node, left_out);
    }
    return text;
};
const FIELDS = "input, select, textarea, output, script, style, template";
const says = (element) =>
    squeeze(words(element, FIELDS)) === wanted || squeeze(words(element, FIELDS + ", [aria-hidden=true]")) === wanted;

const called = (element) => says(element) || squeeze(element.getAttribute("aria-label")) === wanted;
const labelled = (field) => {
    const ids = squeeze(field.getAttribute("aria-labelledby")).split(" ").filter(Boolean);
    const labels = [...(field.labels ?? []), ...ids.map((id) => document.getElementById(id)).filter(Boolean)];
    return labels.some(says) || squeeze(field.getAttribute("aria-label")) === wanted;
};

// What lies outside of an open modal dialog cannot be used.
const scope = root ?? [...document.querySelectorAll("dialog:modal")].pop() ?? document;
const first = (css, fits) => [...scope.querySelectorAll(css)].find((element) => shown(element) && fits(element)) ?? null;

const BUTTONS = "button, summary, [role=button], input[type=submit], input[type=button], input[type=reset]";
const button = (element) => (element.matches("input") ? squeeze(element.value) === wanted : called(element));

switch (kind) {
    case "css":
        return [...(root ?? document).querySelectorAll(wanted)].find(shown) ?? null;
    case "button":
        return first(BUTTONS, button);
    case "enabled button":
        return first(BUTTONS, (element) => button(element) && !element.matches(":disabled, [aria-disabled=true]"));
    case "link":
        return first("a[href]", called);
    case "field":
        return first("input, select, textarea", labelled);
    case "option":
        // Options are not shown until their list is open.
        return [...scope.options].find((option) => squeeze(option.label) === wanted && !option.disabled) ?? null;
    default:
        throw new Error("no such kind: " + kind);
}
