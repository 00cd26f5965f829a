"""python -m beam_patterns.pipelines NAME ... is the same as beam-patterns run NAME ..."""

from beam_patterns.pipelines.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
