"""Language tags as ISO 639-1 codes."""

from __future__ import annotations


def language_code(tag: str) -> str:
    """The ISO 639-1 code of a language tag such as "en", "eng", "pt-BR" or "zh_Hans"; empty for any other word.

    Languages without such a code ("fil", "yue") give an empty text, and so does "und".
    """
    from langcodes import Language
    from langcodes.tag_parser import LanguageTagError

    primary = tag.strip().replace("_", "-").partition("-")[0].casefold()
    if primary in ("tl", "tgl"):  # Tagalog, which CLDR replaces by "fil"
        return "tl"
    try:
        language = Language.get(primary)
    except LanguageTagError:
        return ""
    return str(language.language) if len(language.language or "") == 2 and language.is_valid() else ""
