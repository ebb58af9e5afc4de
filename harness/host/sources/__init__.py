"""Where things come from: releases by their pins, or packages; how they are downloaded, compiled or installed."""
