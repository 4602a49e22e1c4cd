"""How the page looks: calm, warm, readable, and with the fonts that the visitor's machine has."""

from __future__ import annotations

import gradio as gr

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
_RUST = gr.themes.Color(
    name="rust",
    c50="#fdf4ee", c100="#fae5d8", c200="#f4c9ae", c300="#ffb089", c400="#e8834d", c500="#c8622b",
    c600="#a8481a", c700="#9a3d12", c800="#7a3110", c900="#5f280f", c950="#331406",
)  # fmt: skip


# Light and dark.
_COLOURS = {
    "body_background_fill": ("#f6f5f2", "#151413"),
    "background_fill_primary": ("#ffffff", "#1f1d1b"),
    "block_background_fill": ("#ffffff", "#1f1d1b"),
    "body_text_color": ("#1c1b1a", "#f0ece6"),
    "body_text_color_subdued": ("#5f5b56", "#b0a89e"),
    "block_info_text_color": ("#5f5b56", "#b0a89e"),
    "button_primary_background_fill": ("#9a3d12", "#ffb089"),
    "button_primary_background_fill_hover": ("#7a3110", "#ffc5a8"),
    "button_primary_text_color": ("#ffffff", "#1c1209"),
    "input_placeholder_color": ("#6f6a63", "#a39b91"),
}


def page_theme() -> gr.themes.Base:
    """The theme; nothing in it is fetched from elsewhere."""
    theme = gr.themes.Base(
        primary_hue=_RUST, secondary_hue=_RUST, neutral_hue="stone", font=list(_FONTS), font_mono=list(_MONO)
    )
    light = {name: colour for name, (colour, _) in _COLOURS.items()}
    return theme.set(**light, **{f"{name}_dark": colour for name, (_, colour) in _COLOURS.items()})
