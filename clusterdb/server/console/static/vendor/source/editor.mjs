// The SQL editor of the console: CodeMirror in a shadow root, so that its styles are constructed style sheets, which a
// content security policy without inline styles allows.  Its colours are the page's custom properties.
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { MySQL, PostgreSQL, SQLite, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const DIALECTS = { sqlite: SQLite, "aurora-mysql": MySQL, "aurora-postgresql": PostgreSQL };

const theme = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--field)", fontSize: "0.9375rem", borderRadius: "6px" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)", minHeight: "9rem" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-scroller": { maxHeight: "24rem", overflow: "auto" },
  ".cm-gutters": { backgroundColor: "var(--field)", color: "var(--muted)", border: "none" },
  ".cm-activeLine": { backgroundColor: "var(--line-active)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--border)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxWidth: "90vw" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--accent)",
    color: "var(--on-accent)",
  },
  ".cm-completionDetail": { color: "inherit", fontStyle: "normal" },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--sql-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--sql-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--sql-number)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--sql-type)" },
]);

function language(engine, schema) {
  return sql({ dialect: DIALECTS[engine] ?? SQLite, schema: schema ?? {}, upperCaseKeywords: true });
}

// create({parent, text, label, changed, run}) shows an editor in `parent`, which has or gets a shadow root.
export function create({ parent, text, label, changed, run }) {
  const root = parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
  const place = document.createElement("div");
  root.replaceChildren(place);
  const spoken = new Compartment();
  const view = new EditorView({
    parent: place,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(
          keymap.of([
            { key: "Mod-Enter", run: () => (run(), true) },
            { key: "Tab", run: acceptCompletion },
          ]),
        ),
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        highlightActiveLine(),
        syntaxHighlighting(colours),
        spoken.of(language("sqlite")),
        theme,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, "aria-multiline": "true" }),
        EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
      ],
    }),
  });
  return {
    focus: () => view.focus(),
    closeList: () => closeCompletion(view),
    get text() {
      return view.state.doc.toString();
    },
    set text(value) {
      if (value !== view.state.doc.toString())
        view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
    },
    speak: (engine, schema) => view.dispatch({ effects: spoken.reconfigure(language(engine, schema)) }),
    // The selected text, or all of it.
    get chosen() {
      const { from, to } = view.state.selection.main;
      return from < to ? view.state.sliceDoc(from, to) : view.state.doc.toString();
    },
  };
}
