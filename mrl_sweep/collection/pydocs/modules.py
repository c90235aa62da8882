"""Which modules are asked: public ones that can be imported anywhere without side effects, in the order of preference of names."""

from __future__ import annotations

from typing import Final

STDLIB: Final = """
    builtins abc argparse array ast asyncio atexit base64 bdb binascii bisect bz2 calendar cmath cmd code codecs codeop collections
    colorsys compileall concurrent.futures configparser contextlib contextvars copy copyreg csv ctypes dataclasses datetime decimal
    difflib dis doctest email enum errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc getopt getpass
    gettext glob graphlib grp gzip hashlib heapq hmac html imaplib importlib inspect io ipaddress itertools json keyword linecache
    locale logging lzma mailbox marshal math mimetypes mmap modulefinder netrc numbers operator optparse os pathlib pdb pickle
    pickletools pkgutil platform plistlib poplib pprint profile pstats pty pwd py_compile pyclbr queue quopri random re reprlib
    resource runpy sched secrets select selectors shelve shlex shutil signal smtplib socket socketserver sqlite3 ssl stat statistics
    string stringprep struct subprocess symtable sys sysconfig syslog tarfile tempfile termios textwrap threading time timeit token
    tokenize tomllib trace traceback tracemalloc tty types typing unicodedata unittest urllib uuid venv warnings wave weakref
    webbrowser wsgiref xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
    collections.abc ctypes.util curses dbm dbm.dumb email.charset email.encoders email.errors email.generator email.header
    email.headerregistry email.message email.parser email.policy email.utils email.contentmanager html.entities html.parser http
    http.client http.cookiejar http.cookies http.server importlib.abc importlib.machinery importlib.metadata importlib.resources
    importlib.util json.decoder json.encoder json.tool logging.config logging.handlers multiprocessing multiprocessing.connection
    multiprocessing.dummy multiprocessing.managers multiprocessing.pool multiprocessing.process multiprocessing.shared_memory multiprocessing.queues
    multiprocessing.synchronize multiprocessing.sharedctypes concurrent.futures.process concurrent.futures.thread os.path
    asyncio.base_events asyncio.base_subprocess asyncio.coroutines asyncio.events asyncio.exceptions asyncio.futures asyncio.locks
    asyncio.protocols asyncio.queues asyncio.runners asyncio.sslproto asyncio.streams asyncio.subprocess asyncio.taskgroups
    asyncio.tasks asyncio.timeouts asyncio.transports
    pyexpat unittest.async_case unittest.case unittest.loader unittest.main unittest.mock unittest.result unittest.runner
    unittest.suite urllib.error urllib.parse urllib.request urllib.response urllib.robotparser wsgiref.handlers wsgiref.headers
    wsgiref.simple_server wsgiref.types wsgiref.util wsgiref.validate xml.dom xml.dom.minidom xml.dom.pulldom xml.etree.ElementTree
    xml.parsers.expat xml.sax xml.sax.handler xml.sax.saxutils xml.sax.xmlreader xmlrpc.client xmlrpc.server encodings
    encodings.aliases encodings.idna encodings.utf_8_sig
""".split()

NUMPY: Final = """
    numpy numpy.char numpy.ctypeslib numpy.dtypes numpy.exceptions numpy.fft numpy.lib numpy.lib.array_utils
    numpy.lib.format numpy.lib.introspect numpy.lib.mixins numpy.lib.npyio numpy.lib.scimath numpy.lib.stride_tricks numpy.linalg
    numpy.ma numpy.ma.extras numpy.ma.mrecords numpy.polynomial numpy.polynomial.chebyshev numpy.polynomial.hermite
    numpy.polynomial.hermite_e numpy.polynomial.laguerre numpy.polynomial.legendre numpy.polynomial.polynomial
    numpy.polynomial.polyutils numpy.random numpy.rec numpy.strings numpy.testing numpy.typing
""".split()

PANDAS: Final = """
    pandas pandas.api.extensions pandas.api.indexers pandas.api.interchange pandas.api.types pandas.api.typing
    pandas.errors pandas.io.formats.style pandas.io.json pandas.io.stata pandas.plotting pandas.testing pandas.tseries.frequencies
    pandas.tseries.holiday pandas.tseries.offsets
""".split()

SCIPY: Final = """
    scipy scipy.cluster scipy.cluster.hierarchy scipy.cluster.vq scipy.constants scipy.datasets scipy.differentiate scipy.fft
    scipy.fftpack scipy.integrate scipy.interpolate scipy.io scipy.io.arff scipy.io.wavfile scipy.linalg scipy.linalg.blas
    scipy.linalg.interpolative scipy.ndimage scipy.odr scipy.optimize scipy.signal scipy.signal.windows scipy.sparse
    scipy.sparse.csgraph scipy.sparse.linalg scipy.spatial scipy.spatial.distance scipy.spatial.transform scipy.special scipy.stats
    scipy.stats.contingency scipy.stats.mstats scipy.stats.qmc scipy.stats.sampling
""".split()

PYARROW: Final = """
    pyarrow pyarrow.compute pyarrow.csv pyarrow.dataset pyarrow.feather pyarrow.fs pyarrow.ipc pyarrow.json pyarrow.parquet
    pyarrow.types
""".split()

OTHERS: Final = """
    jinja2 jinja2.environment jinja2.exceptions jinja2.ext jinja2.filters jinja2.loaders jinja2.meta jinja2.nodes jinja2.runtime
    jinja2.sandbox jinja2.utils pydantic pydantic.color pydantic.dataclasses pydantic.fields pydantic.functional_serializers
    pydantic.functional_validators pydantic.json_schema pydantic.networks pydantic.types rich rich.align rich.bar rich.box
    rich.cells rich.color rich.columns rich.console rich.containers rich.control rich.emoji rich.filesize rich.highlighter
    rich.json rich.layout rich.live rich.logging rich.markdown rich.markup rich.measure rich.padding rich.pager rich.palette
    rich.panel rich.pretty rich.progress rich.progress_bar rich.prompt rich.protocol rich.repr rich.rule rich.scope rich.screen
    rich.segment rich.spinner rich.status rich.style rich.styled rich.syntax rich.table rich.text rich.theme rich.traceback
    rich.tree typer typer.colors typer.core typer.models typer.params typer.testing platformdirs threadpoolctl
""".split()

PACKAGES: Final = (*STDLIB, *NUMPY, *PANDAS, *SCIPY, *PYARROW, *OTHERS)
