"""Reads and writes media files: the only package that imports PyAV.

``read/``, for indexing:

    probe.py        what a file is, without decoding it
    decode.py       its pictures, in one pass
    audio.py        its sound, in bounded windows
    loudness.py     how loud its sound is
    subtitles.py    its timed text, beside it or inside it
    container.py    opens files safely, reads and decodes packets
    picture.py      upright, square-pixelled pictures from decoded frames

``deliver/``, for viewers and editors:

    playback.py     how a browser plays a file, and the stream that it gets
    cutting.py      cuts a clip out of a file
    tracks.py       copied or encoded packets of a part of a file
    seeking.py      finds the codec keyframe to begin at
    write.py        writes a new clip

All times are seconds from the first frame: pictures, sound and text of one file share that clock.
"""
