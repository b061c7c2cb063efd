"""One test of Eclipse Paho's interoperability suites: paho-run.py FOLDER MODULE PORT TEST; without a test, prints their names.

The suites' own command line leaves what it reads where their tests don't look for it, so their globals are set here.
"""

import importlib
import os
import sys
import unittest

folder, module, port, *wanted = sys.argv[1:]
sys.path.insert(0, folder)
suite = importlib.import_module(module)
if not wanted:
    print("\n".join(unittest.defaultTestLoader.getTestCaseNames(suite.Test)))
    sys.exit()

suite.host = "127.0.0.1"
suite.port = int(port)
suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
suite.nosubscribe_topics = ("test/nosubscribe",)
suite.topic_prefix = "client_test5/"
tests = unittest.TestSuite([suite.Test(wanted[0])])
result = unittest.TextTestRunner(stream=sys.stdout).run(tests)
sys.stdout.flush()
# Threads of its clients may still wait for packets.
os._exit(0 if result.testsRun == 1 and result.wasSuccessful() else 1)
