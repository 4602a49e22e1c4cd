"""Reading and writing media files: the only package that imports PyAV.

    probe.py        what a file is, without decoding it
    decode.py       its pictures, in one pass
    audio.py        its sound, in bounded windows
    subtitles.py    its timed text, beside it or inside it
    write.py        a new clip
    container.py    opening a file safely (private to this package)
    picture.py      upright, square-pixelled pictures from decoded frames (private to this package)

All times are seconds from the first frame: pictures, sound and text of one file share that clock.
Nothing is imported here, so that naming the package costs nothing.
"""

__all__: list[str] = []
