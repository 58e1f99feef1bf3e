"""An OpenAI-compatible endpoint that corrects a model while it is still speaking.

Importing this package does nothing; ``guard.server.app.create_app(settings)`` builds the server.
"""

__version__ = "0.1.0"
